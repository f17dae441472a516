"""Does attention to a sound go forward with the text, and to where each word was said?

Sources: Chorowski et al. 2015, "Attention-Based Models for Speech Recognition", section 2
(alignments of speech go forward); Spearman 1904 (rank correlation).
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Monotonic(NamedTuple):
    """How the heads of one attention follow a sound; NaN where nothing could be counted."""

    forward: Float[np.ndarray, " H"]
    """share of steps whose centre lies behind that of the step before"""
    inside: Float[np.ndarray, " H"]
    """share of the weight that lies where the step's word was said, averaged over steps"""
    uniform: float
    """the same of a head that looks everywhere alike"""
    order: Float[np.ndarray, " H"]
    """Spearman's correlation of steps and centres, averaged over texts: 1 if all go forward"""

    def record(self) -> dict[str, Any]:
        """The same, fit for JSON; None for NaN."""
        lists = ((name, getattr(self, name)) for name in ("forward", "inside", "order"))
        found: dict[str, Any] = {name: [_plain(one) for one in values] for name, values in lists}
        return found | {"uniform": _plain(self.uniform)}


def centres(weights: Float[Any, "B H T S"]) -> Float[np.ndarray, "B H T"]:
    """Where each row of weights has its mean, in positions of the source."""
    array = np.asarray(weights, np.float64)
    return array @ np.arange(array.shape[-1])


def monotonic(
    weights: Float[Any, "B H T S"],
    spans: Float[Any, "B T 2"],
    steps: Bool[Any, "B T"],
    lengths: Int[Any, " B"],
) -> Monotonic:
    """How each head follows the sound while the text is written.

    Args:
      weights: of one attention to the sound.
      spans: the positions of the sound between which the word that each step writes was said;
        position s is inside where begin ≤ s < end.
      steps: those that count: that write something which was said. They stand first in their row.
      lengths: positions that each sound has.

    Raises:
      ValueError: the shapes do not fit; the message has them.
    """
    array, spans = np.asarray(weights, np.float64), np.asarray(spans, np.float64)
    steps, lengths = np.asarray(steps, bool), np.asarray(lengths)
    shapes = [x.shape for x in (array, spans, steps, lengths)]
    rows, _, texts, sources = array.shape if array.ndim == 4 else (-1,) * 4
    if shapes[1:] != [(rows, texts, 2), (rows, texts), (rows,)]:
        raise ValueError(
            f"weights, spans, steps and lengths have the shapes {', '.join(map(str, shapes))}; "
            "[B, H, T, S], [B, T, 2], [B, T] and [B] would fit"
        )
    place = np.arange(sources)
    inside = (place >= spans[..., :1]) & (place < spans[..., 1:])  # [B, T, S]
    where = centres(array)
    moves = steps[:, 1:] & steps[:, :-1]
    forward = np.diff(where, axis=-1) > 0
    real = inside & (place < lengths[:, None, None])
    shares = real.sum(-1) / np.maximum(lengths, 1)[:, None]
    return Monotonic(
        _mean(forward, moves),
        _mean((array * inside[:, None]).sum(-1), steps),
        float(_mean(shares[:, None], steps)[0]),
        _order(where, steps),
    )


def _order(where: Float[np.ndarray, "B H T"], steps: Bool[np.ndarray, "B T"]) -> np.ndarray:
    """The mean of each text's rank correlation; texts of one step have none."""
    found = []
    for centre, counts in zip(where, steps.sum(-1), strict=True):
        if counts > 1:
            ranks = _ranks(centre[:, :counts])
            off = ranks - ranks.mean(-1, keepdims=True)
            step = np.arange(counts) - (counts - 1) / 2
            norms = np.sqrt((off**2).sum(-1) * (step**2).sum())
            found.append(np.divide(off @ step, norms, out=np.zeros(len(off)), where=norms > 0))
    return np.mean(found, axis=0) if found else np.full(where.shape[1], np.nan)


def _ranks(values: Float[np.ndarray, "H T"]) -> Float[np.ndarray, "H T"]:
    """The place of each number among its row's; equal ones share the mean of theirs."""
    one, other = values[..., :, None], values[..., None, :]
    return (one > other).sum(-1) + ((one == other).sum(-1) - 1) / 2


def _mean(values: np.ndarray, counts: Bool[np.ndarray, "B T"]) -> Float[np.ndarray, " H"]:
    """The mean over what counts, of each head."""
    total = counts.sum()
    sums = np.where(counts[:, None], values, 0).sum((0, 2))
    return sums / total if total else np.full(values.shape[1], np.nan)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
