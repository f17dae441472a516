"""Beam search: the best few continuations of every row, with a length penalty."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attention_jax.data.tokens import END, PAD, START
from attention_jax.decoding.greedy import IMPOSSIBLE, Step, allowed, check_sizes, known
from attention_jax.decoding.likeliest import largest

Reorder = Callable[[Any, Int[Array, " N"]], Any]
Widen = Callable[[Any, int], Any]


class Search(NamedTuple):
    """Where a search stands after `position` tokens."""

    position: Int[Array, ""]
    live: Int[Array, "rows beams length"]  # hypotheses without END, best first
    live_scores: Float[Array, "rows beams"]  # log-probabilities
    last: Int[Array, " rows*beams"]  # the token that each live hypothesis took last
    best: Int[Array, "rows hypotheses length"]  # hypotheses with END, best first
    best_scores: Float[Array, "rows hypotheses"]  # log-probabilities over the length penalty
    closed: Bool[Array, " rows"]  # the row's answer is final
    cache: Any


def gather_rows(cache: Any, rows: Int[Array, " N"]) -> Any:
    """The cache after row i went on from row `rows[i]`: gathers every array, leaves scalars."""
    return jax.tree.map(
        lambda leaf: leaf.at[rows].get(mode="promise_in_bounds") if leaf.ndim else leaf, cache
    )


def repeat_rows(cache: Any, times: int) -> Any:
    """The cache with every row so many times, one behind another; leaves scalars."""

    def repeat(leaf: Any) -> Array:
        leaf = jnp.asarray(leaf)
        return jnp.repeat(leaf, times, axis=0) if leaf.ndim else leaf

    return jax.tree.map(repeat, cache)


def length_penalty(length: Any, penalty: float) -> Float[Array, ""]:
    """((5 + length) / 6) ** penalty, END counted in the length. Wu et al. 2016, equation 14."""
    return ((5.0 + jnp.asarray(length, jnp.float32)) / 6.0) ** penalty


def beam(
    step: Step,
    cache: Any,
    *,
    rows: int,
    length: int,
    beams: int,
    penalty: float,
    hypotheses: int | None = None,
    reorder: Reorder = gather_rows,
    widen: Widen = repeat_rows,
) -> tuple[Int[Array, "rows hypotheses length"], Float[Array, "rows hypotheses"]]:
    """The best hypotheses under log P(tokens) / ((5 + |tokens|) / 6) ** penalty.

    Every row carries `beams` live hypotheses. Of their 2·beams likeliest continuations, those with
    END among the first `beams` have ended, and the likeliest others live on. A row closes once
    `hypotheses` have ended and no live one can beat the worst of those kept: log-probabilities only
    fall, so the bound is the best live one over the penalty of the full length. One beam alone
    closes at its first END, so that it is greedy search whatever the penalty. A closed row never
    changes, hence does not depend on its neighbours; the loop stops when all are closed.

    As in `greedy`, the last position can hold nothing but END, and PAD and START are never chosen.
    The log-probabilities are the model's own, over all tokens, in float32. Equal scores go to the
    hypothesis that ended first, then to the better parent, then to the lower token id.

    The cache is repeated to rows·beams rows, row-major, then reordered after every step, which is
    where a search spends its time. A model that keeps once what the beams of a row share passes its
    own `widen`, and one that keeps track of ancestors instead of moving what they have left its own
    `reorder`. To be called inside `jax.jit`.

    Args:
      step: the model, one target position at a time; the first tokens it gets are START.
      cache: what `step` starts from; every array in it leads with `rows`.
      rows: how many sources are decoded side by side.
      length: the most tokens a hypothesis may hold, END included.
      beams: how many live hypotheses a row carries.
      penalty: 0 for plain log-probabilities; more favours longer hypotheses.
      hypotheses: how many to return, None for `beams`; with fewer, rows close earlier.
      reorder: (cache, rows [N]) -> the cache whose row i is the former row rows[i]; rows[i] always
        belongs to the same source as i.
      widen: (cache, beams) -> the cache of rows·beams hypotheses, those of a row side by side.

    Returns:
      Token ids in int32, closed by END and filled with PAD, best first, and their scores. Where
      fewer hypotheses exist than asked for, the rest are all PAD with a score of -1e9.

    Raises:
      ValueError: a size below 1, a negative penalty, more hypotheses than beams, an array of the
        cache or logits of another shape.

    Source: Wu et al. 2016, section 7.
    """
    sizes = {"rows": rows, "length": length, "beams": beams, "hypotheses": hypotheses}
    found = search(step, cache, penalty=penalty, reorder=reorder, widen=widen, **sizes)
    return found.best, found.best_scores


def search(
    step: Step,
    cache: Any,
    *,
    rows: int,
    length: int,
    beams: int,
    penalty: float,
    hypotheses: int | None,
    reorder: Reorder,
    widen: Widen = repeat_rows,
) -> Search:
    """Where the search that `beam` describes stands at its end."""
    begin = first(cache, rows=rows, length=length, beams=beams, hypotheses=hypotheses, widen=widen)
    if not penalty >= 0:
        raise ValueError(f"penalty is {penalty}; it must be at least 0")

    def proceed(search: Search) -> Bool[Array, ""]:
        return (search.position < length) & ~jnp.all(search.closed)

    further = partial(advance, step, penalty=penalty, reorder=reorder)
    return jax.lax.while_loop(proceed, further, begin)


def first(
    cache: Any,
    *,
    rows: int,
    length: int,
    beams: int,
    hypotheses: int | None = None,
    widen: Widen = repeat_rows,
) -> Search:
    """Where a search begins, with the arguments of `beam`."""
    hypotheses = beams if hypotheses is None else hypotheses
    check_sizes(cache, rows=rows, length=length, beams=beams, hypotheses=hypotheses)
    if hypotheses > beams:
        raise ValueError(
            f"hypotheses is {hypotheses}; with {beams} beams at most {beams} would fit"
        )
    return Search(
        position=jnp.int32(0),
        live=jnp.full((rows, beams, length), PAD, jnp.int32),
        # All beams of a row start alike: only the first counts, or they would stay alike.
        live_scores=jnp.full((rows, beams), IMPOSSIBLE, jnp.float32).at[:, 0].set(0.0),
        last=jnp.full(rows * beams, START, jnp.int32),
        best=jnp.full((rows, hypotheses, length), PAD, jnp.int32),
        best_scores=jnp.full((rows, hypotheses), IMPOSSIBLE, jnp.float32),
        closed=jnp.zeros(rows, bool),
        cache=widen(cache, beams),
    )


def advance(
    step: Step, search: Search, *, penalty: float, reorder: Reorder = gather_rows
) -> Search:
    """The search one position further; what a closed row has found stays as it is."""
    rows, beams, length = search.live.shape
    logits, cache = step(search.cache, search.last)
    final = search.position == length - 1
    scores, parents, tokens = _continuations(search.live_scores, known(logits, rows * beams), final)
    ends = (tokens == END) & (scores > IMPOSSIBLE / 2)

    ends_now = ends[:, :beams] & ~search.closed[:, None]
    best, best_scores = _merge(search, scores[:, :beams], parents[:, :beams], ends_now, penalty)

    # Every beam ends in one way only, so at least half of the 2·beams continuations live on.
    live_scores, chosen = jax.lax.top_k(jnp.where(tokens == END, IMPOSSIBLE, scores), beams)
    parents = jnp.take_along_axis(parents, chosen, axis=1)
    tokens = jnp.take_along_axis(tokens, chosen, axis=1)
    live = jnp.take_along_axis(search.live, parents[:, :, None], axis=1)
    live = jax.lax.dynamic_update_index_in_dim(live, tokens, search.position, axis=2)

    hope = live_scores[:, 0] / length_penalty(length, penalty)
    hopeless = (best_scores[:, -1] >= hope) | (beams == 1)
    done = (best_scores[:, -1] > IMPOSSIBLE / 2) & hopeless
    none_lives = live_scores[:, 0] <= IMPOSSIBLE / 2
    first_row = beams * jnp.arange(rows, dtype=jnp.int32)
    return Search(
        position=search.position + 1,
        live=live,
        live_scores=live_scores,
        last=tokens.reshape(-1),
        best=best,
        best_scores=best_scores,
        closed=search.closed | done | none_lives,
        cache=reorder(cache, (first_row[:, None] + parents).reshape(-1)),
    )


def _continuations(
    live_scores: Float[Array, "rows beams"], logits: Float[Array, "N V"], final: Bool[Array, ""]
) -> tuple[Float[Array, "rows 2*beams"], Int[Array, "rows 2*beams"], Int[Array, "rows 2*beams"]]:
    """The likeliest 2·beams continuations of each row: log-probabilities, parents, tokens."""
    rows, beams = live_scores.shape
    width = min(2 * beams, logits.shape[-1])
    # Sorting each beam's logits first and normalising the few that are left spares a pass over V.
    tops, tokens = largest(allowed(logits, final), width)
    totals = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    scores = live_scores[:, :, None] + (tops - totals).reshape(rows, beams, width)
    scores, flat = jax.lax.top_k(scores.reshape(rows, beams * width), 2 * beams)
    tokens = jnp.take_along_axis(tokens.reshape(rows, beams * width), flat, axis=1)
    return jnp.maximum(scores, IMPOSSIBLE), flat // width, tokens


def _merge(
    search: Search,
    scores: Float[Array, "rows beams"],
    parents: Int[Array, "rows beams"],
    ends: Bool[Array, "rows beams"],
    penalty: float,
) -> tuple[Int[Array, "rows hypotheses length"], Float[Array, "rows hypotheses"]]:
    """The best ended hypotheses, old ones and those that end at this position."""
    scores = jnp.where(ends, scores / length_penalty(search.position + 1, penalty), IMPOSSIBLE)
    fresh = jnp.take_along_axis(search.live, parents[:, :, None], axis=1)
    closing = jnp.full(parents.shape, END, jnp.int32)
    fresh = jax.lax.dynamic_update_index_in_dim(fresh, closing, search.position, axis=2)
    fresh = jnp.where(ends[:, :, None], fresh, PAD)
    tokens = jnp.concatenate([search.best, fresh], axis=1)
    best_scores, kept = jax.lax.top_k(
        jnp.concatenate([search.best_scores, scores], axis=1), search.best.shape[1]
    )
    return jnp.take_along_axis(tokens, kept[:, :, None], axis=1), best_scores
