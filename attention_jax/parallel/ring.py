"""Ring attention: queries stay, keys and values travel from device to device.

At each step a device looks at the sources that are with it, one tile after another as `online`
does, while they are already on their way to the next. Backward they travel once more, and what is
owed to them follows. Nothing is kept of a step: of the whole trip each row's output and the
logarithm of its sum, so that a device holds its own share and one tile, whatever the length.

The derivative is defined around `shard_map`, not inside: no collective is ever transposed.

Source: Liu et al. 2023, "Ring Attention with Blockwise Transformers for Near-Infinite Context";
Dao et al. 2022, "FlashAttention", algorithm 4 (the backward pass).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from attention_jax.functional.heads import by_group
from attention_jax.functional.online import CLEAR, PARTLY, State, add
from attention_jax.functional.products import products, wide
from attention_jax.parallel.trip import Trip, visit
from attention_jax.parallel.zigzag import AXIS, Places


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def ring(
    trip: Trip,
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    value: Float[Array, "*B S G E"],
    bad: tuple[Bool[Array, "*B T H 1"], Bool[Array, "*B S G 1"]] | None,
    arrays: tuple[Array, ...],
) -> tuple[Float[Array, "*B T H E"], Bool[Array, "*B T H 1"] | None]:
    """Each query's weighted mean of the values, and whether it sees anything that is bad.

    Args:
      trip: how long the axes are, and how they are spread.
      query: one row for each query position and head, in natural order; so are all.
      key: one row for each source position and key/value head.
      value: one row for each source position and key/value head.
      bad: which queries, and which sources, are not finite; None where nobody asks.
      arrays: those of the mask.
    """
    return _forward(trip, query, key, value, bad, arrays)[0]


def _forward(trip, query, key, value, bad, arrays):
    flags = None if bad is None else trip.spec
    output, hidden, log_sum = jax.shard_map(
        partial(_read, trip),
        mesh=trip.mesh,
        in_specs=(trip.spec, trip.spec, trip.spec, flags, trip.outline.specs),
        out_specs=(trip.spec, flags, trip.tiles),
        check_vma=False,  # nothing is differentiated inside
    )(query, key, value, bad, arrays)
    return (output, hidden), (query, key, value, arrays, output, log_sum)


def _backward(trip, kept, given):
    query, key, value, arrays, output, log_sum = kept
    gradients = jax.shard_map(
        partial(_return, trip),
        mesh=trip.mesh,
        in_specs=(trip.spec,) * 5 + (trip.tiles, trip.outline.specs),
        out_specs=(trip.spec,) * 3,
        check_vma=False,
    )(query, key, value, output, given[0], log_sum, arrays)
    return *gradients, None, None


ring.defvjp(_forward, _backward)


def _read(trip: Trip, query, key, value, bad, arrays):
    """On one device: what its queries read, once all sources have come by."""
    blocks = _laid_out(trip.queries, query)
    flags = None if bad is None else _laid_out(trip.queries, bad[0])
    cargo = _laid_out(trip.sources, (key, value, None if bad is None else bad[1]))
    *batch, heads = query.shape[:-3] + query.shape[-2:-1]
    rows, dtype = (trip.queries.tiles, *batch, heads, trip.queries.tile), wide(query, key)
    found = State(
        jnp.zeros((*rows, value.shape[-1]), wide(query, key, value)),
        jnp.full((*rows, 1), jnp.finfo(dtype).min, dtype),
        jnp.ones((*rows, 1), dtype),
    )
    hidden = None if flags is None else jnp.zeros_like(flags)

    def look(read, cargo, step):
        now = visit(trip, arrays, step)

        def block(i, read):
            query, flag = _at((blocks, flags), i)

            def piece(j, read):
                def seen(kind, read):
                    key, value, bad = _at(cargo, j)
                    tile, (found, hidden) = now.tile(kind, i, j), read
                    found = add(found, tile.logits(query, key), value)
                    if hidden is not None:
                        hidden |= tile.sees_bad(flag, bad)
                    return found, hidden

                ways = [lambda read: read, partial(seen, CLEAR), partial(seen, PARTLY)]
                return lax.switch(now.kinds[i, j], ways, read)

            mine = lax.fori_loop(0, trip.sources.tiles, piece, _at(read, i))
            return _put(read, i, mine)

        return lax.fori_loop(0, trip.queries.tiles, block, read)

    def step(carried, step):
        read, cargo = carried
        coming = _sent(trip, cargo, 1)  # on its way while this is looked at
        return (look(read, cargo, step), coming), None

    last = trip.steps - 1
    (read, cargo), _ = lax.scan(step, ((found, hidden), cargo), jnp.arange(last))
    found, hidden = look(read, cargo, last)
    # Where anything is seen, the peak's own share is one: the sum is below one only without any.
    total = jnp.maximum(found.total, 1)
    output = _brought_back(trip.queries, _swap(found.output / total)).astype(value.dtype)
    hidden = None if hidden is None else _brought_back(trip.queries, hidden)
    return output, hidden, found.peak + jnp.log(total)


def _return(trip: Trip, query, key, value, output, d_output, log_sum, arrays):
    """On one device: the derivatives, its own queries' and, once around, its own sources'."""
    dtype = log_sum.dtype
    # Σ weights · d_weights of each row, without the weights.
    mean = jnp.sum(output.astype(dtype) * d_output.astype(dtype), axis=-1, keepdims=True)
    blocks = _laid_out(trip.queries, (query, d_output, mean))
    cargo = _laid_out(trip.sources, (key, value))
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, dtype), cargo)

    def look(d_query, owed, cargo, step):
        now = visit(trip, arrays, step)

        def block(i, owed):
            d_query, d_cargo = owed
            query, d_output, mean = _at(blocks, i)
            row_sums, row_means = _at(log_sum, i), _swap(mean)

            def piece(j, owed):
                d_query, d_cargo = owed

                def seen(kind, d_query, d_key, d_value):
                    key, value = _at(cargo, j)
                    logits, pull = jax.vjp(now.tile(kind, i, j).logits, query, key)
                    weights = jnp.exp(logits - row_sums)
                    moved = weights * (products(d_output, value) - row_means)
                    more = pull(moved.astype(logits.dtype))
                    d_value += _gathered(weights, d_output, value.shape[-2])
                    return d_query + more[0], d_key + more[1], d_value

                ways = [lambda *owed: owed, partial(seen, CLEAR), partial(seen, PARTLY)]
                d_query, *mine = lax.switch(now.kinds[i, j], ways, d_query, *_at(d_cargo, j))
                return d_query, _put(d_cargo, j, tuple(mine))

            mine, d_cargo = lax.fori_loop(0, trip.sources.tiles, piece, (_at(d_query, i), d_cargo))
            return _put(d_query, i, mine), d_cargo

        return lax.fori_loop(0, trip.queries.tiles, block, (d_query, owed))

    def step(carried, step):
        d_query, cargo, owed = carried
        coming = _sent(trip, cargo, 1)
        d_query, owed = look(d_query, owed, cargo, step)
        return (d_query, coming, _sent(trip, owed, 1)), None

    last = trip.steps - 1
    start = jnp.zeros(blocks[0].shape, dtype), cargo, nothing
    (d_query, cargo, owed), _ = lax.scan(step, start, jnp.arange(last))
    d_query, owed = look(d_query, owed, cargo, last)
    owed = _sent(trip, owed, -last)  # home
    d_key, d_value = _brought_back(trip.sources, owed)
    d_query = _brought_back(trip.queries, d_query)
    return d_query.astype(query.dtype), d_key.astype(key.dtype), d_value.astype(value.dtype)


def _gathered(weights: Array, d_output: Array, groups: int) -> Float[Array, "*B S G E"]:
    """What is owed to each value: Σ weights · d_output over queries and the heads of a group."""
    *batch, heads, queries, sources = weights.shape
    d_value_BGSE = jnp.einsum(
        "...GNS,...GNE->...GSE",
        weights.astype(d_output.dtype).reshape(*batch, groups, heads // groups * queries, sources),
        by_group(d_output, groups),
        preferred_element_type=weights.dtype,
    )
    return _swap(d_value_BGSE)


def _sent(trip: Trip, cargo: Any, by: int) -> Any:
    """The cargo of each device, so many devices on."""
    n = trip.sources.devices
    if by % n == 0:
        return cargo
    return lax.ppermute(cargo, AXIS, [(i, (i + by) % n) for i in range(n)])


def _laid_out(places: Places, x: Any) -> Any:
    return jax.tree.map(lambda x: places.cut(places.arranged(x)), x)


def _brought_back(places: Places, x: Any) -> Any:
    return jax.tree.map(lambda x: places.restored(places.joined(x)), x)


def _at(x: Any, i: Any) -> Any:
    return jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, i, keepdims=False), x)


def _put(x: Any, i: Any, y: Any) -> Any:
    return jax.tree.map(lambda x, y: lax.dynamic_update_index_in_dim(x, y, i, 0), x, y)


def _swap(x: Array) -> Array:
    return jnp.swapaxes(x, -3, -2)
