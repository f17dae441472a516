"""JAX's splash attention for TPUs, given a mask's parts: padding, tiles, and ids of segments."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from attention_jax.functional.mask_parts import Parts, counts
from attention_jax.functional.splash_tiles import tiles


def run_splash(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G K"],
    value: Float[Array, "*B S G E"],
    mask: Parts,
    *,
    cap: float | None,
    interpret: bool,
) -> Float[Array, "*B T H E"]:
    """The softmax of q·k under a mask, times the values; any number where a row sees nothing.

    Args:
      query: scaled already, T and S at least one.
      key: as in `splash`.
      value: as in `splash`.
      mask: a band that lets some query see a source, lengths and at most one of segments.
      cap: logits become cap·tanh(logit / cap).
      interpret: run the kernel step by step on any platform.
    """
    from jax.experimental.pallas.ops.tpu import splash_attention as kernels

    *batch, length, heads, _ = query.shape
    sources, groups = key.shape[-3:-1]
    features = max(query.shape[-1], value.shape[-1])
    cut = tiles(length, sources, features, query.dtype.itemsize, mask.low, mask.high)
    T, S = cut.padded
    if mask.low is None and mask.high is None:
        band: Any = kernels.FullMask((T, S))
    else:
        before = None if mask.low is None else -mask.low
        band = kernels.LocalMask((T, S), (before, mask.high), 0)
        # A row without a source would divide by zero: it looks where its nearest neighbour does.
        rows = mask.rows(length, sources)
        band.q_sequence = np.clip(band.q_sequence, rows.start, rows.stop - 1)
    # A kernel for one key/value head, mapped over them: the one for many fails where x64 is on.
    attention = kernels.make_splash_mqa(
        kernels.MultiHeadMask([band] * (heads // groups)),
        head_shards=1,
        q_seq_shards=1,
        block_sizes=kernels.BlockSizes(
            block_q=cut.queries,
            block_kv=cut.sources,
            block_kv_compute=cut.at_once,
            block_q_dkv=cut.queries,
            block_kv_dkv=cut.sources,
            block_kv_dkv_compute=cut.at_once,
            block_q_dq=cut.queries,
            block_kv_dq=cut.sources,
        ),
        attn_logits_soft_cap=cap,
        interpret=interpret,
    )

    ids = None
    if mask.lengths or mask.segments or sources < S:
        ids = kernels.SegmentIds(*_ids(mask, tuple(batch), (length, sources), (T, S)))
    query_BGNTK = _heads_first(query, T).reshape(-1, groups, heads // groups, T, query.shape[-1])
    each = jax.vmap(jax.vmap(attention, (0, 0, 0, None)))
    output: Any = each(query_BGNTK, _heads_first(key, S), _heads_first(value, S), ids)
    output = output.reshape(-1, heads, T, value.shape[-1])
    output = jnp.swapaxes(output[:, :, :length], -3, -2)
    return output.reshape(*query.shape[:-1], value.shape[-1])


def _heads_first(x: Array, length: int) -> Float[Array, "B H T K"]:
    """One flat batch, heads before positions, zeros up to the padded length."""
    flat = jnp.swapaxes(x.reshape(-1, *x.shape[-3:]), -3, -2)
    return jnp.pad(flat, ((0, 0), (0, 0), (0, length - x.shape[-3]), (0, 0)))


def _ids(
    mask: Parts, batch: tuple[int, ...], sizes: tuple[int, int], padded: tuple[int, int]
) -> list[Array]:
    """The segment of each query and of each source, -1 for sources that none may see."""
    (length, sources), flat = sizes, int(np.prod(batch, initial=1))
    queries_BT = jnp.zeros((flat, length), jnp.int32)
    sources_BS = jnp.zeros((flat, sources), jnp.int32)
    for segments in mask.segments:
        given = jnp.asarray(segments.queries)
        others = given if segments.keys is None else jnp.asarray(segments.keys)
        # From zero on, so that -1 is no query's.
        lowest = jnp.min(given, axis=-1, keepdims=True)
        queries_BT = jnp.broadcast_to(given - lowest, (*batch, length)).reshape(flat, length)
        sources_BS = jnp.broadcast_to(others - lowest, (*batch, sources)).reshape(flat, sources)
    limit = counts([part.sources for part in mask.lengths], sources, batch)
    if limit is not None:
        place = jnp.arange(sources).reshape(1, sources)
        sources_BS = jnp.where(place < limit.reshape(flat, 1), sources_BS, -1)
    both = zip((queries_BT, sources_BS), padded, strict=True)
    return [
        jnp.pad(x.astype(jnp.int32), ((0, 0), (0, to - x.shape[-1])), constant_values=-1)
        for x, to in both
    ]
