"""The contract of attention: score, normalize, weigh.

- `logits = score(query, key)`, `[*B, H, T, S]`
- `weights = normalize(logits, mask)`, rows sum to one, or to exactly zero
- `output = weigh(weights, value)`, `[*B, T, H, E]`
"""

import dataclasses
import operator
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention_jax.axes import align, fit
from attention_jax.functional.masks import Mask, visible
from attention_jax.functional.normalize import Normalize, softmax
from attention_jax.functional.scores import Score, for_heads, scaled_dot
from attention_jax.functional.shield import clean, tainted

BACKENDS = ("auto", "reference")

QUERY, KEY, VALUE = "*B T H K", "*B S G K", "*B S G E"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which backend computes an attention, and why."""

    backend: str
    reason: str

    def __str__(self) -> str:
        return f"{self.backend}: {self.reason}"


def attend(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G K"],
    value: Float[Array, "*B S G E"],
    *,
    score: Score = scaled_dot,
    normalize: Normalize = softmax,
    mask: Bool[Array, "..."] | Mask | None = None,
    bias: Float[Array, "..."] | None = None,
    backend: str = "auto",
) -> Float[Array, "*B T H E"]:
    """Each query's weighted mean of the values, by how well it matches their keys.

    What is masked influences nothing, neither the output nor a gradient, even where it holds NaN or
    infinity; a row with nothing to see gives zeros. With a mask, a query that sees a key or value
    that is not finite gives NaN.

    Args:
      query: one row for each query position and head.
      key: one row for each source position and key/value head; G divides H.
      value: one row for each source position and key/value head.
      score: `(query, key) -> logits`; learned ones come as `partial(additive, v=v)`.
      normalize: `(logits, mask) -> weights`.
      mask: True = may attend; an array that broadcasts to `[*B, H, T, S]`, or a mask object.
      bias: added to the logits; broadcasts to `[*B, H, T, S]`.
      backend: "reference", or "auto" for the one that `plan_attention` names.

    Returns:
      One row for each query position and head, in the dtype of value.

    Raises:
      ValueError: an argument does not fit; the message names it, what was found and what would fit.

    Source: Bahdanau et al. 2015; Vaswani et al. 2017, section 3.2.
    """
    plan_attention(
        query, key, value, score=score, normalize=normalize, mask=mask, bias=bias, backend=backend
    )
    shape = _logits_shape(query, key, value)
    hidden = None
    if mask is not None:
        mask = visible(mask, shape)
        query, bad_queries = clean(query)
        key, bad_keys = clean(key)
        value, bad_values = clean(value)
        hidden = tainted(bad_queries, bad_keys | bad_values, mask)

    logits = _logits(score, query, key, bias, shape)
    weights = normalize(logits, mask)
    output = weigh(weights, value)

    # A select and not a product, so that rows which nobody asks about pass no NaN backward.
    return output if hidden is None else jnp.where(hidden[..., None], jnp.nan, output)


def explain(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G K"],
    value: Float[Array, "*B S G E"] | None = None,
    *,
    heads: Sequence[int] | None = None,
    queries: Sequence[int] | None = None,
    score: Score = scaled_dot,
    normalize: Normalize = softmax,
    mask: Bool[Array, "..."] | Mask | None = None,
    bias: Float[Array, "..."] | None = None,
) -> Float[Array, "*B H T S"]:
    """The exact weights with which `attend` weighs the values, for the heads and queries asked for.

    Only those rows are computed, apart from `attend`, whose path looking never changes.

    Args:
      query: as in `attend`.
      key: as in `attend`.
      value: as in `attend`; weights do not depend on it, so that it may be left out.
      heads: which of the H heads; all where None. Negative numbers count from the end.
      queries: which of the T query positions; all where None. Negative numbers count from the end.
      score: as in `attend`.
      normalize: as in `attend`.
      mask: as in `attend`.
      bias: as in `attend`.

    Returns:
      Weights `[*B, len(heads) or H, len(queries) or T, S]`, in float32 at least.

    Raises:
      ValueError: an argument does not fit; the message names it, what was found and what would fit.
    """
    shape = _logits_shape(query, key, value)
    *_, all_heads, all_queries, _ = shape
    rows = None if queries is None else _indices("queries", queries, all_queries)
    if mask is not None:
        mask = visible(mask, shape)
    if bias is not None:
        bias = align("bias", jnp.asarray(bias), shape)
    if rows is not None:
        query = query[..., jnp.asarray(rows, int), :, :]
        mask, bias = _cut(mask, rows, -2), _cut(bias, rows, -2)

    cut_after = None
    if heads is not None:
        chosen = _indices("heads", heads, all_heads)
        narrow = for_heads(score, chosen)
        if narrow is None:
            cut_after = chosen
        else:
            score = narrow
            group = all_heads // key.shape[-2]
            query = query[..., jnp.asarray(chosen, int), :]
            key = key[..., jnp.asarray([head // group for head in chosen], int), :]
            mask, bias = _cut(mask, chosen, -3), _cut(bias, chosen, -3)

    hidden = None
    if mask is not None:
        query, bad_queries = clean(query)
        key, bad_keys = clean(key)
        hidden = jnp.swapaxes(tainted(bad_queries, bad_keys, mask), -1, -2)
    weights = normalize(_logits(score, query, key, bias, _logits_shape(query, key)), mask)
    if hidden is not None:
        weights = jnp.where(hidden[..., None], jnp.nan, weights)
    return weights if cut_after is None else weights[..., jnp.asarray(cut_after, int), :, :]


def weigh(
    weights: Float[Array, "*B H T S"], value: Float[Array, "*B S G E"]
) -> Float[Array, "*B T H E"]:
    """The weighted sum of the values for each head and query.

    Sums are kept in float32 at least; the weights are rounded to the dtype of value before.

    Args:
      weights: one row for each head and query position.
      value: one row for each source position and key/value head; G divides H.

    Returns:
      One row for each query position and head, in the dtype of value.

    Raises:
      ValueError: *B, S or the head counts do not fit; the message names both shapes.
    """
    batch, n = fit(weights=(weights.shape, "*B H T S"), value=(value.shape, VALUE))
    output_BGNE = jnp.einsum(
        "...NS,...SE->...NE",
        weights.astype(value.dtype).reshape(*batch, n["G"], n["H"] // n["G"] * n["T"], n["S"]),
        jnp.swapaxes(value, -3, -2),
        preferred_element_type=jnp.promote_types(value.dtype, jnp.float32),
    )
    output_BHTE = output_BGNE.reshape(*batch, n["H"], n["T"], n["E"])
    return jnp.swapaxes(output_BHTE, -3, -2).astype(value.dtype)


def plan_attention(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G K"],
    value: Float[Array, "*B S G E"],
    *,
    score: Score = scaled_dot,
    normalize: Normalize = softmax,
    mask: Bool[Array, "..."] | Mask | None = None,
    bias: Float[Array, "..."] | None = None,
    backend: str = "auto",
) -> Plan:
    """Which backend `attend` takes for these arguments, and why.

    Args:
      query: as in `attend`; shapes are enough (`jax.ShapeDtypeStruct`), for key and value too.
      key: as in `attend`.
      value: as in `attend`.
      score: as in `attend`.
      normalize: as in `attend`.
      mask: as in `attend`.
      bias: as in `attend`.
      backend: "auto", or the one that must serve.

    Returns:
      The backend's name and the reason in words.

    Raises:
      ValueError: there is no such backend, or it cannot do what is asked; the message names the
        option at fault.
    """
    _logits_shape(query, key, value)
    del score, normalize, mask, bias  # the reference serves them all
    if backend not in BACKENDS:
        known = ", ".join(repr(name) for name in BACKENDS)
        raise ValueError(f"backend={backend!r} is not one of {known}")
    if backend == "reference":
        return Plan("reference", "asked for by name")
    return Plan("reference", "it serves every score, normalizer, mask and bias on every device")


def _logits_shape(query: Array, key: Array, value: Array | None = None) -> tuple[int, ...]:
    """`[*B, H, T, S]`, once query, key and value are seen to fit each other."""
    arguments = {"query": (query, QUERY), "key": (key, KEY)}
    if value is not None:
        arguments["value"] = (value, VALUE)
    for name, (x, _) in arguments.items():
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"{name} has dtype {x.dtype}, wanted floating point numbers")
    batch, n = fit(**{name: (x.shape, letters) for name, (x, letters) in arguments.items()})
    return *batch, n["H"], n["T"], n["S"]


def _logits(
    score: Score, query: Array, key: Array, bias: Array | None, shape: tuple[int, ...]
) -> Array:
    logits = score(query, key)
    if logits.shape != shape:
        raise ValueError(
            f"score gave logits of shape {list(logits.shape)}, wanted [*B, H, T, S] = {list(shape)}"
        )
    return logits if bias is None else logits + align("bias", jnp.asarray(bias), shape)


def _indices(name: str, chosen: Sequence[int], size: int) -> list[int]:
    """Which of `size` were asked for, counted from the front."""
    indices = [operator.index(one) for one in chosen]
    if not indices:
        raise ValueError(f"{name} is empty, wanted some of {-size} to {size - 1}")
    for index in indices:
        if not -size <= index < size:
            raise ValueError(f"{name}={indices}: found {index}, wanted {-size} to {size - 1}")
    return [index % size for index in indices]


def _cut(x: Array | None, chosen: Sequence[int], axis: int) -> Array | None:
    """Some entries of an axis, unless x has one for them all."""
    if x is None or x.shape[axis] == 1:
        return x
    return jnp.take(x, jnp.asarray(chosen, int), axis=axis)
