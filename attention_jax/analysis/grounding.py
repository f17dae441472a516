"""How much of an attention to a picture lies where the thing is that a word is about.

A cell of the picture counts inside a box by the share of its area that is inside, as if attention
were spread evenly over the cell. Beside what is found stands what a map that is the same everywhere
would give: the share of the picture that the box fills.

Source: Liu, Mao, Sha and Yuille 2017, "Attention Correctness in Neural Image Captioning", section
3.1 (the sum of weights inside the box); Zhang et al. 2018, "Top-down Neural Attention by Excitation
Backprop", section 4 (the pointing game).
"""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Grounding:
    """Means over the rows that were judged; NaN where there are none.

    Attributes:
      rows: how many were judged.
      inside: the share of attention inside the boxes.
      uniform: the share of a map that is the same everywhere.
      pointing: how often the cell that is looked at most touches a box.
      pointing_uniform: how often a cell chosen by chance does.
    """

    rows: int
    inside: float
    uniform: float
    pointing: float
    pointing_uniform: float

    @property
    def lift(self) -> float:
        """How many times more attention lies inside than of a map that is the same everywhere."""
        return self.inside / self.uniform if self.uniform else float("nan")

    def record(self) -> dict[str, float | int | None]:
        """All numbers, fit for JSON: None for what is not known."""
        found = asdict(self) | {"lift": self.lift}
        return {name: None if value != value else value for name, value in found.items()}


def shares(
    boxes: Int[np.ndarray, "*N 4"], rows: int, columns: int, height: int, width: int
) -> Float[np.ndarray, "*N S"]:
    """Which share of each cell's area lies inside a box.

    Args:
      boxes: top, left, bottom and right in pixels; bottom and right are the first ones outside. A
        box without area, such as all zeros, holds nothing.
      rows: of cells, which divide the picture evenly.
      columns: of cells.
      height: of the picture, in pixels.
      width: of the picture, in pixels.

    Returns:
      From 0 to 1, the cells row by row.

    Raises:
      ValueError: boxes are not [..., 4], or a size is below 1.
    """
    boxes = np.asarray(boxes, np.float64)
    if boxes.shape[-1:] != (4,) or min(rows, columns, height, width) < 1:
        raise ValueError(
            f"found boxes of shape {list(boxes.shape)} for {rows} by {columns} cells of {height} "
            f"by {width} pixels; [..., 4] and sizes from 1 would fit"
        )
    top, left, bottom, right = np.moveaxis(boxes, -1, 0)
    down = _covered(top, bottom, rows, height / rows)
    across = _covered(left, right, columns, width / columns)
    both = down[..., :, None] * across[..., None, :]
    return both.reshape(*both.shape[:-2], rows * columns)


def joined(
    shares: Float[np.ndarray, "*N M S"], chosen: Bool[np.ndarray, "*N M"]
) -> Float[np.ndarray, "*N S"]:
    """The shares of the chosen boxes together, which do not overlap.

    Args:
      shares: of each of M boxes.
      chosen: which of them count.
    """
    return np.minimum((np.asarray(shares) * np.asarray(chosen)[..., None]).sum(-2), 1.0)


def grounding(weights: Float[np.ndarray, "N S"], shares: Float[np.ndarray, "N S"]) -> Grounding:
    """How much of each row of attention lies inside its boxes; rows without a box are left out.

    Args:
      weights: of a word to each cell; a row sums to one.
      shares: of each cell's area inside the boxes of what the word is about.

    Raises:
      ValueError: the shapes differ.
    """
    weights, shares = np.asarray(weights, np.float64), np.asarray(shares, np.float64)
    if weights.ndim != 2 or weights.shape != shares.shape:
        raise ValueError(
            f"weights have shape {list(weights.shape)} and shares {list(shares.shape)}; [N, S] for "
            "both would fit"
        )
    some = shares.sum(-1) > 0
    if not some.any():
        return Grounding(0, *[float("nan")] * 4)
    weights, shares = weights[some], shares[some]
    looked_at = shares[np.arange(len(shares)), weights.argmax(-1)]
    return Grounding(
        rows=len(shares),
        inside=float((weights * shares).sum(-1).mean()),
        uniform=float(shares.mean()),
        pointing=float((looked_at > 0).mean()),
        pointing_uniform=float((shares > 0).mean()),
    )


def _covered(
    start: Float[np.ndarray, "*N"], end: Float[np.ndarray, "*N"], count: int, size: float
) -> Float[np.ndarray, "*N count"]:
    """Which share of each of `count` strips of a size lies between start and end."""
    edges = np.arange(count) * size
    first, last = np.maximum(start[..., None], edges), np.minimum(end[..., None], edges + size)
    return np.maximum(last - first, 0) / size
