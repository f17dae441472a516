"""What comes before the sums of linear attention, and what after: mapping, grouping, dividing."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention_jax.axes import fit
from attention_jax.functional.features import Features, Scaled
from attention_jax.functional.heads import repeat_groups
from attention_jax.functional.linear_sums import Sources, Sums, finite
from attention_jax.functional.masks import Mask
from attention_jax.functional.products import wide as wide_of
from attention_jax.functional.shield import clean
from attention_jax.functional.source_masks import split

QUERY, KEY, VALUE = "*B T H K", "*B S G K", "*B S G E"

Decay = float | Float[Array, "H"]


class Prepared(NamedTuple):
    """Everything mapped and grouped, and what has to be put right in the end."""

    query: Float[Array, "*B G T R P"]
    scale: Float[Array, "*B G T R"]  # of the query's features
    sources: Sources
    causal: bool
    bad: Bool[Array, "*B G S"]  # sources that are seen and not finite
    spoilt: Bool[Array, "*B G T R"]  # answers that come of something not finite
    queries: Bool[Array, "*B G T R"]  # those that there are

    def finish(self, sums: Sums, normalize: bool) -> Array:
        """The answers `[*B, T, H, ...]`: the sums over the total, or times what was taken out."""
        weighted, total, peak = sums
        if normalize:
            # The derivative of a quotient has the divisor squared, which may underflow; that of a
            # quotient by a constant has not, and total / constant is one.
            constant = jax.lax.stop_gradient(total)
            some = constant != 0
            constant = jnp.where(some, constant, 1)
            one = jnp.where(some, total / constant, 1)
            answers = jnp.where(some[..., None], weighted / constant[..., None] / one[..., None], 0)
        else:
            power = finite(peak[..., None] + self.scale)
            answers = weighted * jnp.exp(power)[..., None]
        answers = jnp.where(self.spoilt[..., None], jnp.nan, answers)
        answers = jnp.where(self.queries[..., None], answers, 0)
        *batch, groups, length, ratio, features = answers.shape
        answers = jnp.swapaxes(answers, -4, -3)
        return answers.reshape(*batch, length, groups * ratio, features)


def prepared(
    query: Array,
    key: Array,
    value: Array,
    features: Features | None,
    causal: bool,
    mask: Bool[Array, "..."] | Mask | None,
    decay: Decay | None,
) -> Prepared:
    """Everything checked, mapped and grouped; the arguments are those of `linear_attend`."""
    batch, n = fit(query=(query.shape, QUERY), key=(key.shape, KEY), value=(value.shape, VALUE))
    seen = split(mask, (*batch, n["H"], n["T"], n["S"]))
    causal = causal or seen.causal
    if causal and n["T"] != n["S"]:
        raise ValueError(f"causal needs as many queries as sources; found T={n['T']}, S={n['S']}")
    if decay is not None and not causal:
        raise ValueError(f"decay={decay} counts the positions since a source; wanted causal=True")
    wide = wide_of(query, key, value)
    sources, bad = mapped_sources(key, value, features, seen.sources, decay, n["H"], wide)
    mapped, bad_queries = _mapped(features, query, ~seen.queries[..., None], wide)
    if mapped.values.shape[-1] != sources.key.shape[-1]:
        raise ValueError(
            f"features gave {mapped.values.shape[-1]} for a query and {sources.key.shape[-1]} for "
            "a key; wanted as many"
        )

    groups = sources.key.shape[-3]
    by_group = (*batch, n["T"], groups, n["H"] // groups)

    def grouped(x: Array) -> Array:
        x = x.reshape(*by_group, *x.shape[len(batch) + 2 :])
        return jnp.swapaxes(x, len(batch), len(batch) + 1)

    def until(there: Array) -> Array:
        """Whether each query sees one of the sources that are `there`, `[*B, G, T, 1]`."""
        met = jnp.cumsum(there, axis=-1) > 0 if causal else jnp.any(there, -1, keepdims=True)
        return met[..., None]

    anything, bad_seen = until(sources.lean > -jnp.inf), until(bad)
    return Prepared(
        query=grouped(mapped.values),
        scale=grouped(mapped.scale),
        sources=sources,
        causal=causal,
        bad=bad,
        spoilt=bad_seen | (grouped(bad_queries) & anything),
        queries=seen.queries[..., None, :, None],
    )


def mapped_sources(
    key: Array,
    value: Array,
    features: Features | None,
    seen: Bool[Array, "*B S"],
    decay: Decay | None,
    heads: int,
    wide: jnp.dtype,
) -> tuple[Sources, Bool[Array, "*B G S"]]:
    """The sources mapped, and which of them are seen and not finite."""
    batch = key.shape[:-3]
    rate = _rate(decay, heads, wide)
    if rate.ndim:
        # Heads that forget at paces of their own have a sum each.
        key, value = repeat_groups(key, heads), repeat_groups(value, heads)
    mapped, bad_keys = _mapped(features, key, ~seen[..., None], wide)
    value, bad_values = clean(value.astype(wide))
    key_BGSP, value_BGSE = (jnp.swapaxes(x, -3, -2) for x in (mapped.values, value))
    scale_BGS, bad_BGS = (jnp.swapaxes(x, -2, -1) for x in (mapped.scale, bad_keys | bad_values))
    seen = seen[..., None, :]
    lean = jnp.where(seen, scale_BGS, -jnp.inf)
    rate = jnp.broadcast_to(rate, key_BGSP.shape[-3]).reshape((1,) * len(batch) + (-1,))
    return Sources(key_BGSP, value_BGSE, lean, rate), bad_BGS & seen


def _mapped(
    features: Features | None, x: Array, hidden: Bool[Array, "*B T H"], wide: jnp.dtype
) -> tuple[Scaled, Bool[Array, "*B T H"]]:
    """The features of the rows, zero where they are not finite, and which those were."""
    x, bad = clean(x.astype(wide))
    x = jnp.where(hidden[..., None], 0, x)
    made = x if features is None else features(x)
    values, scale = made if isinstance(made, Scaled) else (made, jnp.zeros(x.shape[:-1], wide))
    if values.shape[:-1] != x.shape[:-1] or scale.shape != x.shape[:-1]:
        raise ValueError(
            f"features gave {list(values.shape)} for {list(x.shape)}; "
            f"wanted {[*x.shape[:-1], 'P']}, some features P for each row"
        )
    values, overflown = clean(values.astype(wide))
    bad |= overflown | ~jnp.isfinite(scale)
    return Scaled(values, jnp.where(bad, 0, scale.astype(wide))), bad


def _rate(decay: Decay | None, heads: int, wide: jnp.dtype) -> Float[Array, "..."]:
    """The logarithm of γ, one for all heads or `[H]`."""
    if decay is None:
        return jnp.zeros((), wide)
    if isinstance(decay, int | float) and not 0 < decay <= 1:
        raise ValueError(f"decay={decay}; wanted above zero and at most one")
    if jnp.shape(decay) not in ((), (heads,)):
        raise ValueError(
            f"decay has shape {list(jnp.shape(decay))}, wanted one number or [H] = [{heads}]"
        )
    return jnp.log(jnp.asarray(decay, wide))
