"""Linear attention: φ(q)·φ(k) as the weight, so that cost and memory grow with T + S.

A weight that is a product of features lets the sum over the sources be made once, before any query
is known: Σ_j φ(k_j) v_jᵀ. Causally that sum is the state of a recurrence, so that decoding takes
one step of constant cost a token.
"""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention_jax.axes import fit
from attention_jax.functional import linear_sums
from attention_jax.functional.features import Features, elu_plus_one
from attention_jax.functional.linear_rows import (
    KEY,
    QUERY,
    VALUE,
    Decay,
    mapped_sources,
    prepared,
)
from attention_jax.functional.linear_sums import LinearState, Sources
from attention_jax.functional.masks import Mask
from attention_jax.functional.products import wide
from attention_jax.functional.source_masks import split

FORMS = {
    "chunked": linear_sums.chunked,
    "parallel": linear_sums.parallel,
    "recurrent": linear_sums.recurrent,
}


def linear_attend(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G K"],
    value: Float[Array, "*B S G E"],
    *,
    features: Features | None = elu_plus_one,
    causal: bool = False,
    mask: Bool[Array, "..."] | Mask | None = None,
    decay: Decay | None = None,
    normalize: bool | None = None,
    form: str = "chunked",
    chunk: int = 128,
) -> Float[Array, "*B T H E"]:
    """Each query's mean of the values, weighted by γ^(i - j)·φ(q_i)·φ(k_j).

    The three forms give the same numbers. "chunked" takes time T·chunk + S and is the one to train
    with; "parallel" makes all T·S weights; "recurrent" goes position by position.

    What is masked influences nothing, neither the output nor a gradient, even where it holds NaN or
    infinity; a row with nothing to see gives zeros. A query that sees a key or value that is not
    finite gives NaN.

    Args:
      query: one row for each query position and head.
      key: one row for each source position and key/value head; G divides H.
      value: one row for each source position and key/value head.
      features: φ, for queries and keys alike, as in `features.py`; None = the rows as they are.
      causal: query i sees the sources up to its own position, T = S; the same as `mask=Causal()`.
      mask: which sources there are: `Lengths`, or an array that broadcasts to `[*B, 1, 1, S]`, True
        = may attend; also `Causal()`, and what `&` joins of these.
      decay: γ, above zero and at most one, for all heads or for each; needs causal.
      normalize: divide by the sum of the weights; None = only where there is no decay.
      form: "chunked", "parallel" or "recurrent".
      chunk: how many positions the chunked form takes at once.

    Returns:
      One row for each query position and head, in the dtype of value.

    Raises:
      ValueError: an argument does not fit; the message names it, what was found and what would fit.

    Source: Katharopoulos et al. 2020, equations 4 to 12; with decay Sun et al. 2023 (RetNet),
      equations 5 (parallel), 6 (recurrent) and 7 (chunkwise).
    """
    if form not in FORMS:
        raise ValueError(f"form={form!r}; wanted one of {', '.join(map(repr, FORMS))}")
    if chunk < 1:
        raise ValueError(f"chunk={chunk}; wanted one position or more")
    made = prepared(query, key, value, features, causal, mask, decay)
    add = partial(FORMS[form], chunk=chunk) if form == "chunked" else FORMS[form]
    sums = add(made.query, made.sources, made.causal)
    return made.finish(sums, _normalized(normalize, decay)).astype(value.dtype)


def linear_weights(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G K"],
    *,
    features: Features | None = elu_plus_one,
    causal: bool = False,
    mask: Bool[Array, "..."] | Mask | None = None,
    decay: Decay | None = None,
    normalize: bool | None = None,
) -> Float[Array, "*B H T S"]:
    """The exact weights with which `linear_attend` weighs the values, to be looked at.

    Args:
      query: as in `linear_attend`.
      key: as in `linear_attend`.
      features: as in `linear_attend`.
      causal: as in `linear_attend`.
      mask: as in `linear_attend`.
      decay: as in `linear_attend`.
      normalize: as in `linear_attend`.

    Returns:
      All T·S weights, in float32 at least.

    Raises:
      ValueError: an argument does not fit; the message names it, what was found and what would fit.
    """
    fit(query=(query.shape, QUERY), key=(key.shape, KEY))
    made = prepared(query, key, key[..., :0], features, causal, mask, decay)
    weights, peak = linear_sums.weigh_all(made.query, made.sources, made.causal)
    sums = linear_sums.Sums(weights, jnp.sum(weights, axis=-1), peak)
    shares_BTHS = made.finish(sums, _normalized(normalize, decay))
    return jnp.swapaxes(shares_BTHS, -3, -2)


def linear_state(
    key: Float[Array, "*B S G K"],
    value: Float[Array, "*B S G E"],
    *,
    features: Features | None = elu_plus_one,
    mask: Bool[Array, "..."] | Mask | None = None,
    decay: Decay | None = None,
) -> LinearState:
    """What the sources so far come to, for `linear_step` to go on from; S = 0 is the beginning.

    Args:
      key: as in `linear_attend`.
      value: as in `linear_attend`.
      features: as in `linear_attend`.
      mask: which sources there are, as in `linear_attend`. With decay, masked sources at the end
        still make those before them older.
      decay: as in `linear_attend`.

    Returns:
      The state, in float32 at least, of one size whatever S is.

    Raises:
      ValueError: an argument does not fit; the message names it, what was found and what would fit.
    """
    batch, n = fit(key=(key.shape, KEY), value=(value.shape, VALUE))
    heads = n["G"] if decay is None or jnp.ndim(decay) == 0 else jnp.shape(decay)[0]
    seen = split(mask, (*batch, heads, 1, n["S"])).sources
    sources, bad = mapped_sources(key, value, features, seen, decay, heads, wide(key, value))
    return _absorbed(linear_sums.empty(sources), sources, bad)


def linear_step(
    state: LinearState,
    query: Float[Array, "*B H K"],
    key: Float[Array, "*B G K"],
    value: Float[Array, "*B G E"],
    *,
    features: Features | None = elu_plus_one,
    decay: Decay | None = None,
    normalize: bool | None = None,
) -> tuple[LinearState, Float[Array, "*B H E"]]:
    """One position of causal `linear_attend`, at a cost that does not depend on what came before.

    Args:
      state: of `linear_state` or of the step before.
      query: this position's row for each head.
      key: this position's row for each key/value head.
      value: this position's row for each key/value head.
      features: as in `linear_attend`, and the same for every step.
      decay: as in `linear_attend`.
      normalize: as in `linear_attend`.

    Returns:
      The state with this source, and this query's row for each head, in the dtype of value.

    Raises:
      ValueError: an argument does not fit; the message names it, what was found and what would fit.

    Source: Katharopoulos et al. 2020, equations 16 to 20; Sun et al. 2023, equation 6.
    """
    fit(query=(query.shape, "*B H K"), key=(key.shape, "*B G K"), value=(value.shape, "*B G E"))
    query, key, value = (x[..., None, :, :] for x in (query, key, value))
    made = prepared(query, key, value, features, True, None, decay)
    wanted = linear_sums.empty(made.sources)
    for name in LinearState._fields:
        found, fits = getattr(state, name).shape, getattr(wanted, name).shape
        if found != fits:
            raise ValueError(
                f"state.{name} has shape {list(found)}, wanted {list(fits)}, that of linear_state "
                "with the same features and decay"
            )
    state = _absorbed(state, made.sources, made.bad)
    sums = linear_sums.read(made.query, state)
    output = made.finish(sums, _normalized(normalize, decay))
    return state, output[..., 0, :, :].astype(value.dtype)


def retention_decay(heads: int) -> Float[Array, "H"]:
    """How much each head of RetNet keeps from one position to the next: γ_h = 1 - 2^(-5 - h).

    Args:
      heads: H.

    Returns:
      From 31/32 upwards: the first head looks back least.

    Raises:
      ValueError: heads is below one, or so many that 2^(-5 - h) is lost in float32.

    Source: Sun et al. 2023, "Retentive Network", section 2.2, equation 8.
    """
    if not 1 <= heads <= 19:
        raise ValueError(f"heads={heads}; wanted 1 to 19, past which γ is 1 in float32")
    return 1 - 2.0 ** (-5 - jnp.arange(heads, dtype=jnp.float32))


def _absorbed(state: LinearState, sources: Sources, bad: Bool[Array, "*B G S"]) -> LinearState:
    """The state with these sources, NaN for good where one of them was not finite."""
    state = linear_sums.absorb(state, sources)
    spoilt = jnp.any(bad, axis=-1)[..., None, None]
    return state._replace(weighted=jnp.where(spoilt, jnp.nan, state.weighted))


def _normalized(normalize: bool | None, decay: Decay | None) -> bool:
    return decay is None if normalize is None else normalize
