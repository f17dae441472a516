"""Trees of arrays as checkpoints see them: flat, by name, on the host or in shards of many."""

import hashlib
from typing import Any

import jax
import numpy as np


def flatten(tree: Any) -> dict[str, Any]:
    """Leaves by their path, such as "params.encoder.0.norm.scale", in the tree's own order."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def digest(params: Any) -> str:
    """SHA-256 over all arrays: equal exactly if all bits are."""
    total = hashlib.sha256()
    for name, leaf in flatten(jax.device_get(params)).items():
        total.update(f"{name} {leaf.dtype} {leaf.shape}".encode())
        total.update(np.ascontiguousarray(leaf).tobytes())
    return total.hexdigest()


def mean(trees: list[Any]) -> Any:
    """The mean of trees of arrays, summed in float64 in their order; dtypes stay."""

    def average(*leaves):
        total = np.zeros(leaves[0].shape, np.float64)
        for leaf in leaves:
            total += np.asarray(leaf, np.float64)
        return (total / len(leaves)).astype(leaves[0].dtype)

    return jax.tree.map(average, *trees)


def copies(tree: Any) -> dict[str, np.ndarray | jax.Array]:
    """Copies of all arrays: on a CPU the host sees the very buffers that the next step reuses.

    Of numpy, but for those of which this process has not all: they stay in their shards.
    """
    leaves = flatten(tree)
    here = {name: leaf for name, leaf in leaves.items() if not _elsewhere(leaf)}
    here = jax.device_get(here)  # all at once
    return {
        name: np.array(here[name]) if name in here else _sharded_copy(leaf)
        for name, leaf in leaves.items()
    }


def _elsewhere(leaf: Any) -> bool:
    """Whether other processes hold parts of it that this one has not."""
    own = not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated
    return not own


def _sharded_copy(array: jax.Array) -> jax.Array:
    if next(iter(array.sharding.device_set)).platform != "cpu":
        return array  # Orbax fetches it before its write begins
    shards = array.addressable_shards
    parts = [jax.device_put(np.array(shard.data), shard.device) for shard in shards]
    return jax.make_array_from_single_device_arrays(array.shape, array.sharding, parts)
