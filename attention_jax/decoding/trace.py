"""What a beam search did on its way: who was alive at every position, and whom they came from.

The search itself is that of `beam`. The record rides in its cache, where `step` and `reorder` see
every token and every parent, so looking cannot change what is found.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.data.tokens import END, START
from attention_jax.decoding.beam import Search, gather_rows, length_penalty, search
from attention_jax.decoding.greedy import IMPOSSIBLE, allowed, known


class Taken(NamedTuple):
    """One hypothesis at one position.

    Attributes:
      token: the one it took there.
      score: log-probability of all its tokens.
      parent: its place among those of the position before; -1 at the first.
    """

    token: int
    score: float
    parent: int


class Written(NamedTuple):
    """A hypothesis that ended.

    Attributes:
      tokens: all of them, END included.
      score: log-probability over the length penalty.
      path: its place among those of each position.
    """

    tokens: list[int]
    score: float
    path: list[int]


class Trace(NamedTuple):
    """A search: those alive (and those that ended and were kept) by position, and the results."""

    steps: list[list[Taken]]
    hypotheses: list[Written]


class Recorded(NamedTuple):
    """The model's cache, and with it what each of N hypotheses did; column 0 is for START."""

    cache: Any
    position: Int[Array, ""]
    tokens: Int[Array, "N T"]
    parents: Int[Array, "N T"]
    scores: Float[Array, "N T"]
    score: Float[Array, " N"]
    follow: Float[Array, "N V"]  # log-probabilities of the next token


def trace(
    graph: nnx.GraphDef,
    params: Any,
    source: Int[Any, " S"],
    *,
    length: int,
    beams: int,
    penalty: float,
    hypotheses: int = 1,
) -> Trace:
    """The search for what a model makes of one source, step by step.

    Args:
      graph: the model's structure, as a `Translator` takes it.
      params: the parameters.
      source: tokens, END at their end.
      length: the most tokens a hypothesis may hold, END included.
      beams: how many live hypotheses are carried; 1 is greedy search.
      penalty: the length penalty's exponent.
      hypotheses: how many of those that ended are kept, best first.

    Raises:
      ValueError: as `beam`.
    """
    sizes = {"length": length, "beams": beams, "penalty": penalty, "hypotheses": hypotheses}
    ended = _searcher(graph, **sizes)(params, jnp.asarray(source, jnp.int32)[None])
    found = jax.tree.map(np.array, ended)
    reached, seen = int(found.position), found.cache
    # The last tokens were chosen, and never shown to the model.
    seen.tokens[:, reached], seen.scores[:, reached] = found.last, found.live_scores[0]
    prefixes: list[dict[int, tuple[int, ...]]] = [{0: ()}]  # by place; at first all beams are one
    steps: list[list[Taken]] = []
    paths: dict[tuple[int, ...], list[int]] = {(): []}
    # One beam alone is done once it has ended; what else it might have written, it did not.
    for column in range(1, reached + (beams > 1)):
        here: dict[int, tuple[int, ...]] = {}
        taken: list[Taken] = []
        for slot in range(beams):
            parent, score = int(seen.parents[slot, column]), float(seen.scores[slot, column])
            if parent not in prefixes[-1] or score < IMPOSSIBLE / 2:
                continue
            token, before = int(seen.tokens[slot, column]), prefixes[-1][parent]
            here[slot] = (*before, token)
            paths[here[slot]] = [*paths[before], len(taken)]
            taken.append(Taken(token, score, paths[before][-1] if before else -1))
        prefixes.append(here)
        steps.append(taken)
    if beams == 1:
        steps.append([])
    return Trace(steps, [*_written(found, steps, paths, penalty)])


def _written(found: Search, steps: list[list[Taken]], paths: dict, penalty: float):
    """Those that ended; each also joins the last of its positions."""
    for tokens, score in zip(found.best[0].tolist(), found.best_scores[0].tolist(), strict=True):
        if score < IMPOSSIBLE / 2:
            continue
        end = tokens.index(END)
        path = paths[tuple(tokens[:end])]
        total = score * float(length_penalty(end + 1, penalty))
        steps[end].append(Taken(END, total, path[-1] if path else -1))
        yield Written(tokens[: end + 1], score, [*path, len(steps[end]) - 1])


@functools.lru_cache(maxsize=8)
def _searcher(graph: nnx.GraphDef, *, length: int, beams: int, **options: Any):
    @jax.jit
    def run(params: Any, source: Int[Array, "1 S"]) -> Search:
        model = nnx.merge(graph, params)
        inner = getattr(model, "reorder", gather_rows)

        def step(seen: Recorded, tokens: Int[Array, " N"]):
            logits, cache = model.step(seen.cache, tokens)
            score = seen.score + jnp.take_along_axis(seen.follow, tokens[:, None], 1)[:, 0]
            follow = jax.nn.log_softmax(known(logits, beams))
            grown = seen._replace(
                cache=cache,
                position=seen.position + 1,
                tokens=seen.tokens.at[:, seen.position].set(tokens),
                scores=seen.scores.at[:, seen.position].set(score),
                score=score,
                follow=allowed(follow, seen.position == length - 1),
            )
            return logits, grown

        def reorder(seen: Recorded, rows: Int[Array, " N"]) -> Recorded:
            return seen._replace(
                cache=inner(seen.cache, rows),
                parents=seen.parents.at[:, seen.position].set(rows),
                score=seen.score[rows],
                follow=seen.follow[rows],
            )

        cache = model.start(source, length)
        tokens = jnp.full((1,), START, jnp.int32)
        vocabulary = jax.eval_shape(model.step, cache, tokens)[0].shape[-1]
        none = jnp.zeros((1, length + 1), jnp.int32)
        start = Recorded(
            cache=cache,
            position=jnp.int32(0),
            tokens=none,
            parents=none,
            scores=none.astype(jnp.float32),
            score=jnp.zeros(1),
            follow=jnp.zeros((1, vocabulary)),
        )
        found = search(step, start, rows=1, length=length, beams=beams, reorder=reorder, **options)
        return found._replace(cache=found.cache._replace(cache=None, follow=None))

    return run
