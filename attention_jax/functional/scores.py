"""Scores: how well each query matches each key.

Every score takes `(query, key)` and returns logits `[*B, H, T, S]` in float32 at least. A score
with learned parameters takes them by keyword and is joined to them with `functools.partial`:
`partial(additive, v=v)`. Query positions are treated alike and independently.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float

from attention_jax.axes import fit
from attention_jax.functional.heads import by_group

Score = Callable[[Array, Array], Array]


def dot(query: Float[Array, "*B T H K"], key: Float[Array, "*B S G K"]) -> Float[Array, "*B H T S"]:
    """How well each query matches each key: q·k.

    Args:
      query: one row for each query position and head.
      key: one row for each source position and key/value head; G divides H.

    Returns:
      Logits, in float32 at least.

    Raises:
      ValueError: K, *B or the head counts do not fit; the message names both shapes.

    Source: Luong et al. 2015, section 3.1 ("dot").
    """
    batch, n = fit(query=(query.shape, "*B T H K"), key=(key.shape, "*B S G K"))
    # Heads first, both with K last: one transposition each, and a plain matrix product a group.
    logits = jnp.einsum(
        "...NK,...SK->...NS",
        by_group(query, n["G"]),
        jnp.swapaxes(key, -3, -2),
        preferred_element_type=_wide(query, key),
    )
    return logits.reshape(*batch, n["H"], n["T"], n["S"])


def scaled_dot(
    query: Float[Array, "*B T H K"], key: Float[Array, "*B S G K"]
) -> Float[Array, "*B H T S"]:
    """How well each query matches each key: q·k / √K.

    Division by √K keeps the logits at unit variance when features are independent, so that the
    softmax neither saturates nor flattens as heads get wider.

    Args:
      query: one row for each query position and head.
      key: one row for each source position and key/value head; G divides H.

    Returns:
      Logits, in float32 at least.

    Raises:
      ValueError: K, *B or the head counts do not fit; the message names both shapes.

    Source: Vaswani et al. 2017, equation 1.
    """
    return dot(query, key) * query.shape[-1] ** -0.5


def additive(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G K"],
    *,
    v: Float[Array, "K"] | Float[Array, "H K"],
) -> Float[Array, "*B H T S"]:
    """How well each query matches each key: v·tanh(q + k).

    The query and the key come projected already (W s and U h in the paper), so that the key's
    projection is computed once for all queries.

    Args:
      query: one row for each query position and head.
      key: one row for each source position and key/value head; G divides H.
      v: the direction that is read off, one for all heads or one for each.

    Returns:
      Logits, in float32 at least.

    Raises:
      ValueError: K, *B, the head counts or v do not fit; the message names the shapes.

    Source: Bahdanau et al. 2015, appendix A.1.2; with heads, one such v for each.
    """
    letters = "K" if jnp.ndim(v) == 1 else "H K"
    batch, n = fit(
        query=(query.shape, "*B T H K"), key=(key.shape, "*B S G K"), v=(jnp.shape(v), letters)
    )
    wide = _wide(query, key, v)
    query_BGNK = by_group(query.astype(wide), n["G"])
    key_BGSK = jnp.swapaxes(key.astype(wide), -3, -2)
    # Rows N = (H / G)·T run head by head, so each row's own v is v repeated T times.
    v_HK = jnp.broadcast_to(v, (n["H"], n["K"])).astype(wide)
    v_GNK = jnp.repeat(v_HK, n["T"], axis=0).reshape(n["G"], query_BGNK.shape[-2], n["K"])
    v_BGNK = v_GNK.reshape((1,) * len(batch) + v_GNK.shape)
    hidden_BGNSK = jnp.tanh(query_BGNK[..., :, None, :] + key_BGSK[..., None, :, :])
    logits = jnp.sum(hidden_BGNSK * v_BGNK[..., :, None, :], axis=-1)
    return logits.reshape(*batch, n["H"], n["T"], n["S"])


def for_heads(score: Score, heads: Sequence[int]) -> Score | None:
    """The same score for some heads only, or None where the score does not tell.

    A score may hold one parameter for each head, so that it cannot be given fewer heads unasked.
    A new score joins with one line here; without it, `explain` scores all heads and cuts after.
    """
    if score is dot or score is scaled_dot:
        return score
    if isinstance(score, partial) and score.func is additive and set(score.keywords) == {"v"}:
        v = score.keywords["v"]
        return score if jnp.ndim(v) == 1 else partial(additive, v=v[jnp.asarray(heads)])
    return None


def _wide(*arrays: Array) -> jnp.dtype:
    """The dtype that sums are kept in: float32 at least."""
    return jnp.promote_types(jnp.result_type(*arrays), jnp.float32)
