"""What a view shows: one model reading one input, as plain arrays and strings.

Nothing here knows of any model: whoever has weights and tokens can make a `Reading`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Attention:
    """One kind of attention of a model, in all its layers: who looks where, and how much.

    Attributes:
      name: "encoder", "decoder", "cross", or any other.
      weights: an array [H, T, S] for each layer; layers may have different numbers of heads. One
        array [L, H, T, S] fits too.
      queries: the T tokens that look.
      sources: the S tokens that are looked at.
      chosen: what the model wrote after each query, where it writes: T tokens, or none.
      query_vectors: for each layer an array [H, T, K]; none, or together with `key_vectors`.
      key_vectors: for each layer an array [G, S, K]; G divides H.
      scale: what query·key is multiplied with to give a logit; None for 1/√K.

    Raises:
      ValueError: shapes and tokens do not fit each other, or a weight is not a finite number from 0
        to 1; the message says which.
    """

    name: str
    weights: Sequence[Float[Any, "H T S"]]
    queries: Sequence[str]
    sources: Sequence[str]
    chosen: Sequence[str] = ()
    query_vectors: Sequence[Float[Any, "H T K"]] = ()
    key_vectors: Sequence[Float[Any, "G S K"]] = ()
    scale: float | None = None

    def __post_init__(self):
        for name in ("queries", "sources", "chosen"):
            found = tuple(getattr(self, name))
            if not all(isinstance(token, str) for token in found):
                raise ValueError(f"{name} of {self.name!r} holds what is no string")
            object.__setattr__(self, name, found)
        for name in ("weights", "query_vectors", "key_vectors"):
            layers = tuple(np.asarray(one, np.float32) for one in getattr(self, name))
            object.__setattr__(self, name, layers)
        self._check_weights()
        self._check_vectors()

    def _check_weights(self) -> None:
        size = len(self.queries), len(self.sources)
        if not self.weights or not all(size):
            raise ValueError(
                f"{self.name!r} has {len(self.weights)} layers, {size[0]} queries and {size[1]} "
                "sources; at least one of each would fit"
            )
        if self.chosen and len(self.chosen) != size[0]:
            raise ValueError(
                f"{self.name!r} has {size[0]} queries and {len(self.chosen)} tokens chosen after "
                "them; as many, or none, would fit"
            )
        for layer, found in enumerate(self.weights):
            if found.ndim != 3 or found.shape[1:] != size:
                raise ValueError(
                    f"layer {layer} of {self.name!r} has weights of shape {found.shape}; "
                    f"[heads, {size[0]}, {size[1]}] would fit its tokens"
                )
            # Rows of low precision sum to a little more than one.
            if found.size and not (found.min() >= 0 and found.max() <= 1.01):
                raise ValueError(
                    f"layer {layer} of {self.name!r} has weights from {found.min()} to "
                    f"{found.max()}; finite numbers from 0 to 1 would fit"
                )

    def _check_vectors(self) -> None:
        found = len(self.query_vectors), len(self.key_vectors)
        if found == (0, 0):
            return
        if found != (len(self.weights),) * 2:
            raise ValueError(
                f"{self.name!r} has {len(self.weights)} layers, and queries and keys for "
                f"{found[0]} and {found[1]} of them; all, or none, would fit"
            )
        layers = zip(self.weights, self.query_vectors, self.key_vectors, strict=True)
        for layer, (weights, query, key) in enumerate(layers):
            heads, rows, sources = weights.shape
            fits = query.ndim == key.ndim == 3 and query.shape[-1:] == key.shape[-1:]
            fits = fits and query.shape[:2] == (heads, rows) and key.shape[1] == sources
            # Heads that were removed leave none of either.
            fits = fits and (heads % key.shape[0] == 0 if key.shape[0] else heads == 0)
            if not fits:
                raise ValueError(
                    f"layer {layer} of {self.name!r} has queries {query.shape} and keys "
                    f"{key.shape}; [{heads}, {rows}, features] and [groups, {sources}, features], "
                    f"with groups that divide {heads}, would fit"
                )


@dataclass(frozen=True)
class Candidate:
    """One of the beams at one generated position.

    Attributes:
      token: what it wrote there.
      score: log-probability of all that it has written.
      parent: its place among the candidates of the position before; -1 at the first.
    """

    token: str
    score: float
    parent: int


@dataclass(frozen=True)
class Reading:
    """What one model did with one input.

    Readings of one `model` at several `moment`s are for a slider, those of two models for a
    comparison, those of several `hypothesis` for a choice.

    Attributes:
      attentions: all kinds of attention that the model has.
      model: its name.
      moment: when in its training, such as "step 400".
      hypothesis: which of several outputs this is.
      input: the text that went in.
      output: the text that came out; empty where none does.
      steps: the candidates at every generated position, in the order of a beam search.
      path: the place of this hypothesis among them at each of its positions.

    Raises:
      ValueError: two attentions share a name, there is none, or a parent or the path names a
        candidate that is not there.
    """

    attentions: tuple[Attention, ...]
    model: str = ""
    moment: str = ""
    hypothesis: str = ""
    input: str = ""
    output: str = ""
    steps: tuple[tuple[Candidate, ...], ...] = ()
    path: tuple[int, ...] = ()

    def __post_init__(self):
        names = [one.name for one in self.attentions]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"found attentions named {names}; at least one, all different")
        before = 0
        for position, candidates in enumerate(self.steps):
            for one in candidates:
                if not (one.parent == -1 if position == 0 else 0 <= one.parent < before):
                    raise ValueError(
                        f"candidate {one.token!r} at position {position} goes on from "
                        f"{one.parent}; {'-1' if position == 0 else f'0 to {before - 1}'} would fit"
                    )
            before = len(candidates)
        if len(self.path) > len(self.steps):
            raise ValueError(
                f"the path has {len(self.path)} positions and the search {len(self.steps)}"
            )
        for position, place in enumerate(self.path):
            parent = self.path[position - 1] if position else -1
            there = self.steps[position]
            if not 0 <= place < len(there) or there[place].parent != parent:
                raise ValueError(
                    f"the path goes from {parent} to {place} at position {position}, which no "
                    "candidate does"
                )
