"""Rows that are searched side by side, each for itself: one that has ended makes room for the next.

A batch whose rows begin together ends with its longest one, and all others wait. Here each row is a
search of its own, at a position of its own, and `jax.vmap` makes one program of them.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from attention_jax.data.tokens import END, PAD
from attention_jax.decoding.beam import advance as advance_beams
from attention_jax.decoding.beam import first as first_beams
from attention_jax.decoding.beam import gather_rows, repeat_rows
from attention_jax.decoding.greedy import advance as advance_greedy
from attention_jax.decoding.greedy import first as first_greedy

SHARE, FEW = 4, 8
"""a quarter of the rows, and `FEW` at least, must have ended before as many new sources are read"""


class Slots:
    """The compiled search of so many rows at once, for sources of one length.

    Args:
      graph: a model's structure; see `Translator`.
      rows: how many are searched side by side.
      source: tokens of a source, padding included.
      length: the most tokens a row may hold, END included.
      beams: live hypotheses a row; 1 is greedy search.
      penalty: the length penalty's exponent.
    """

    def __init__(
        self,
        graph: nnx.GraphDef,
        *,
        rows: int,
        source: int,
        length: int,
        beams: int,
        penalty: float,
    ):
        self.rows, self.source, self.fill = rows, source, max(-(-rows // SHARE), min(rows, FEW))

        def read(model: Any, source: Int[Array, " S"]) -> Any:
            cache = model.start(source[None], length)
            if beams == 1:
                return first_greedy(cache, rows=1, length=length)
            widen = getattr(model, "widen", repeat_rows)
            sizes = {"rows": 1, "length": length, "beams": beams, "hypotheses": 1}
            return first_beams(cache, **sizes, widen=widen)

        def further(model: Any, search: Any) -> Any:
            if beams == 1:
                return advance_greedy(model.step, search)
            reorder = getattr(model, "reorder", gather_rows)
            return advance_beams(model.step, search, penalty=penalty, reorder=reorder)

        @jax.jit  # its shapes are asked for before it becomes a part of `put`
        def begin(params: Any, sources: Int[Array, "N S"]) -> Any:
            model = nnx.merge(graph, params)
            return jax.vmap(functools.partial(read, model))(sources)

        def put(params: Any, state: Any, sources: Any, slots: Int[Array, " N"]) -> Any:
            fresh = begin(params, sources)
            # A slot past the last one is nobody's.
            return jax.tree.map(lambda old, new: old.at[slots].set(new, mode="drop"), state, fresh)

        def go_on(params: Any, state: Any, wanted: Int[Array, ""]) -> Any:
            model = nnx.merge(graph, params)
            return jax.lax.while_loop(
                lambda state: state.closed.sum() < wanted,
                jax.vmap(functools.partial(further, model)),
                state,
            )

        self._functions = begin, put, go_on
        self._beams, self._programs = beams, {}

    def compiled(self, params: Any) -> Any:
        """An empty state and the programs, made once for parameters of the same shapes."""
        leaves, structure = jax.tree.flatten(params)
        kind = structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        if kind not in self._programs:
            self._programs[kind] = self._made(params)
        return self._programs[kind]

    def _made(self, params: Any) -> Any:
        begin, put, go_on = self._functions
        sources = _struct(self.fill, self.source)
        state = jax.tree.map(
            lambda one: jax.ShapeDtypeStruct((self.rows, *one.shape[1:]), one.dtype),
            jax.eval_shape(begin, params, sources),
        )
        putting = jax.jit(put, donate_argnums=1).lower(params, state, sources, _struct(self.fill))
        going = jax.jit(go_on, donate_argnums=1).lower(params, state, _struct())
        # Slots that hold nothing count as closed.
        empty = jax.tree.map(lambda one: np.zeros(one.shape, one.dtype), state)
        empty = empty._replace(closed=np.ones(state.closed.shape, bool))
        return empty, *(each.compile() for each in (putting, going))

    def search(self, params: Any, sources: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """The tokens found for each source, in their order."""
        empty, put, go_on = self.compiled(params)
        state: Any = jax.device_put(empty, may_alias=False)
        holds = [-1] * self.rows  # the source that a slot searches for
        found: list[Any] = [None] * len(sources)
        waiting, open_rows = 0, 0
        while waiting < len(sources) or open_rows:
            free = [slot for slot, index in enumerate(holds) if index < 0]
            while free and waiting < len(sources):
                taken, free = free[: self.fill], free[self.fill :]
                taken = taken[: len(sources) - waiting]
                slots = np.full(self.fill, self.rows, np.int32)
                slots[: len(taken)] = taken
                batch = sources[waiting : waiting + len(taken)]
                state = put(params, state, self._filled(batch), slots)
                for slot in taken:
                    holds[slot], waiting = waiting, waiting + 1
            open_rows = sum(index >= 0 for index in holds)
            # With nobody waiting there is nothing to stop for.
            ends = min(self.fill, open_rows) if waiting < len(sources) else open_rows
            state = go_on(params, state, np.int32(self.rows - open_rows + ends))
            tokens = state.tokens[:, 0] if self._beams == 1 else state.best[:, 0, 0]
            closed, tokens = jax.device_get((state.closed[:, 0], tokens))
            for slot, index in enumerate(holds):
                if index >= 0 and closed[slot]:
                    found[index], holds[slot] = tokens[slot], -1
            open_rows = sum(index >= 0 for index in holds)
        return found

    def _filled(self, batch: Sequence[Sequence[int]]) -> np.ndarray:
        whole = np.full((self.fill, self.source), PAD, np.int32)
        whole[:, 0] = END  # rows that hold no line still have something to attend to
        for row, ids in enumerate(batch):
            whole[row, : len(ids)] = ids
        return whole


@functools.lru_cache(maxsize=32)
def slots(graph: nnx.GraphDef, **sizes: Any) -> Slots:
    """The slots of these sizes; models of one structure share them and their programs."""
    return Slots(graph, **sizes)


def _struct(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, np.int32)
