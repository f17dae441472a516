"""What looks at attention on a mesh: each device reduces the weights of its own heads and rows.

Weights are never gathered. Rows of the batch, heads and query positions stay where they are, with
all sources, `[B, H, T/n, S]` at most, and only sums travel: a few numbers a head, and where words
are linked those of the heads' mean.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float

from attention_jax.functional import attend, scaled_dot
from attention_jax.parallel.layout import fitting, spec
from attention_jax.parallel.mesh import arrange, letters_of


def placed_params(graph: nnx.GraphDef, params: Any, mesh: Mesh) -> Any:
    """The parameters of a model, each where its letters say.

    Args:
      graph: the model's structure; its parameters carry letters.
      params: of the model.
      mesh: the devices.

    Raises:
      ValueError: a parameter carries no letters.
    """

    def place(leaf: Any, letters: str) -> Array:
        return jax.device_put(leaf, NamedSharding(mesh, fitting(letters, leaf.shape, mesh)))

    return jax.tree.map(place, params, letters_of(nnx.merge(graph, params)))


def placed_positions(tree: Any, mesh: Mesh, *, filler: int = 0) -> Any:
    """Arrays `[B, T]` where a batch lies, filled up until its devices divide both axes.

    Args:
      tree: of arrays on the host.
      mesh: the devices.
      filler: what stands in the rows and positions that are put behind.
    """
    rows = mesh.shape["data"] * mesh.shape["fsdp"]

    def place(x: np.ndarray) -> Array:
        spare = [
            (0, -n % by) for n, by in zip(x.shape, (rows, mesh.shape["sequence"]), strict=True)
        ]
        filled = np.pad(x, spare, constant_values=filler)
        return jax.device_put(filled, NamedSharding(mesh, spec("B T")))

    return jax.tree.map(place, tree)


def call_on(mesh: Mesh) -> dict[str, Any]:
    """What a model's call is told, so that all its weights are made where they are reduced.

    Args:
      mesh: the devices.
    """
    place = arrange(mesh)

    def score(query: Float[Array, "B T H K"], key: Float[Array, "B S G K"]) -> Array:
        # Keys are what travels where positions are cut: S rows, where weights are T·S.
        logits = scaled_dot(place(query, "B T H K"), place(key, "B whole G K"))
        return place(logits, "B H T S")

    # Weights are looked at whole in any case, and tiles of them would lie anywhere.
    return {
        "score": score,
        "attend": functools.partial(attend, backend="reference"),
        "arrange": place,
    }


def sums_on(
    mesh: Mesh,
    sums: Callable[..., Any],
    weights: Float[Array, "B H T S"],
    queries: Bool[Array, "B T"],
    sources: Bool[Array, "B S"],
) -> Any:
    """What the weights of one attention add up to, added up where they are and then over devices.

    Args:
      mesh: the devices.
      sums: `(weights, queries, sources, first)`, of some rows, heads and queries, whose first query
        stands at `first`, to a tree of arrays `[H]` and scalars that add up over rows and queries.
      weights: of one attention.
      queries: as `sums` takes them.
      sources: as `sums` takes them.

    Returns:
      The tree of all rows, heads and queries.
    """
    cut = fitting("B H T S", weights.shape, mesh)
    rows, heads, positions, _ = cut
    over = (*(rows or ()), *([positions] if positions else []))

    def piece(weights: Array, queries: Array, sources: Array) -> Any:
        first = jax.lax.axis_index(positions) * queries.shape[1] if positions else 0
        found = sums(weights, queries, sources, first)
        return jax.lax.psum(found, over) if over else found

    whole = jax.eval_shape(sums, weights, queries, sources, 0)
    return jax.shard_map(
        piece,
        mesh=mesh,
        in_specs=(cut, PartitionSpec(rows, positions), PartitionSpec(rows, None)),
        out_specs=jax.tree.map(lambda x: PartitionSpec(*[heads] * x.ndim), whole),
    )(weights, queries, sources)
