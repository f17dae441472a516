"""Attention and its three stages by `jax.pmap`: split over devices, computed, gathered.

For a notebook on a host with several devices: each function takes and gives ordinary arrays, those
of its namesake in `functional`, and each device computes some rows of the batch or some heads:

    logits = replicate.score(query, key, over="heads")
    weights = replicate.normalize(logits, mask=Causal(), over="heads")
    output = replicate.weigh(weights, value, over="heads")

or all at once, `replicate.attend(query, key, value, mask=Causal(), over="heads")`. All have
gradients. Inside of `jax.jit` arrays are cut by a mesh (`Layout.mesh`) instead.

What masks, biases, scores and normalizers hold for each row or head is cut with the rest; see
`pieces`.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from jaxtyping import Array, Bool, Float

from attention_jax import functional
from attention_jax.axes import fit
from attention_jax.functional.biases import Bias, as_bias
from attention_jax.functional.logits import score_rows
from attention_jax.functional.mask_algebra import as_mask, expand
from attention_jax.functional.masks import Mask
from attention_jax.functional.normalize import Normalize
from attention_jax.functional.plan import check_fit, logits_shape
from attention_jax.functional.scores import Score
from attention_jax.parallel.pieces import Over, arrays_of, opened, plan

Devices = int | Sequence[Any] | None
"""So many of this process's devices, these, or all of this process's."""


def attend(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    value: Float[Array, "*B S G E"],
    *,
    score: Score = functional.scaled_dot,
    normalize: Normalize = functional.softmax,
    mask: Bool[Array, "..."] | Mask | None = None,
    bias: Float[Array, "..."] | Bias | None = None,
    backend: str = "auto",
    over: Over = "batch",
    devices: Devices = None,
) -> Float[Array, "*B T H E"]:
    """`functional.attend`, each device with some rows of the batch or some heads.

    Args:
      query: as in `functional.attend`.
      key: as in `functional.attend`.
      value: as in `functional.attend`.
      score: as in `functional.attend`; over heads, one that treats each head alone.
      normalize: as in `functional.attend`; over heads, one that treats each head alone.
      mask: as in `functional.attend`.
      bias: as in `functional.attend`.
      backend: as in `functional.attend`, for what one device computes.
      over: what is split. Of several leading axes, the first.
      devices: how many, or which; they divide the rows, or both H and G.

    Returns:
      One row for each query position and head, on the first of the devices.

    Raises:
      ValueError: an argument does not fit, or the devices do not divide what they share; the
        message says what would fit.
    """
    shape = logits_shape(query, key, value)
    check_fit(mask, bias, shape)
    arrays = {"query": (query, "*B T H K"), "key": (key, "*B S G J"), "value": (value, "*B S G E")}
    options = {"score": score, "normalize": normalize, "mask": mask, "bias": bias}
    return _spread(
        functional.attend, arrays, {**options, "backend": backend}, "*B T H E", over, devices
    )


def score(
    query: Float[Array, "*B T H K"],
    key: Float[Array, "*B S G J"],
    *,
    score: Score = functional.scaled_dot,
    bias: Float[Array, "..."] | Bias | None = None,
    over: Over = "batch",
    devices: Devices = None,
) -> Float[Array, "*B H T S"]:
    """The first stage: how well each query matches each key, and what the bias adds.

    Args:
      query: as in `attend`.
      key: as in `attend`.
      score: as in `attend`.
      bias: as in `attend`.
      over: as in `attend`.
      devices: as in `attend`.

    Returns:
      Logits.

    Raises:
      ValueError: as in `attend`.
    """
    check_fit(None, bias, logits_shape(query, key))
    arrays = {"query": (query, "*B T H K"), "key": (key, "*B S G J")}
    return _spread(_scored, arrays, {"score": score, "bias": bias}, "*B H T S", over, devices)


def normalize(
    logits: Float[Array, "*B H T S"],
    *,
    normalize: Normalize = functional.softmax,
    mask: Bool[Array, "..."] | Mask | None = None,
    over: Over = "batch",
    devices: Devices = None,
) -> Float[Array, "*B H T S"]:
    """The second stage: from logits to weights.

    Args:
      logits: one row for each head and query position.
      normalize: as in `attend`.
      mask: as in `attend`.
      over: as in `attend`.
      devices: as in `attend`.

    Returns:
      Weights.

    Raises:
      ValueError: as in `attend`.
    """
    fit(logits=(logits.shape, "*B H T S"))
    check_fit(mask, None, logits.shape)
    arrays = {"logits": (logits, "*B H T S")}
    return _spread(
        _normalized, arrays, {"normalize": normalize, "mask": mask}, "*B H T S", over, devices
    )


def weigh(
    weights: Float[Array, "*B H T S"],
    value: Float[Array, "*B S G E"],
    *,
    over: Over = "batch",
    devices: Devices = None,
) -> Float[Array, "*B T H E"]:
    """The last stage: the weighted sum of the values.

    Args:
      weights: one row for each head and query position.
      value: as in `attend`.
      over: as in `attend`.
      devices: as in `attend`.

    Returns:
      One row for each query position and head.

    Raises:
      ValueError: as in `attend`.
    """
    arrays = {"weights": (weights, "*B H T S"), "value": (value, "*B S G E")}
    fit(**{name: (array.shape, letters) for name, (array, letters) in arrays.items()})
    return _spread(functional.weigh, arrays, {}, "*B T H E", over, devices)


def _scored(query, key, score, bias):
    logits = score_rows(score, query, key)
    if bias is None:
        return logits
    return logits + expand(as_bias(bias).array(*logits.shape[-2:]), logits.ndim)


def _normalized(logits, normalize, mask):
    return normalize(logits, mask)


def _spread(
    function: Callable[..., Array],
    arrays: dict[str, tuple[Array, str]],
    options: dict[str, Any],
    into: str,
    over: Over,
    devices: Devices,
) -> Array:
    """What the function gives, each device with its piece of the arguments.

    Args:
      function: takes the arrays and the options by name.
      arrays: with their letters.
      options: what else the function takes.
      into: the letters of what it gives.
      over: as in `attend`.
      devices: as in `attend`.
    """
    there = _chosen(devices)
    shapes = {name: (array.shape, letters) for name, (array, letters) in arrays.items()}
    cut = plan(over, len(there), shapes)
    trees = {"mask": as_mask, "bias": as_bias}
    options = {
        name: None if option is None else trees.get(name, opened)(option)
        for name, option in options.items()
    }
    lettered = [(array, letters.split()) for array, letters in arrays.values()]
    mesh, home = Mesh(np.asarray(there, object), ("piece",)), SingleDeviceSharding(there[0])

    def sharding(axis: int | None) -> NamedSharding:
        before = () if axis is None else (None,) * axis + ("piece",)
        return NamedSharding(mesh, PartitionSpec(*before))

    axes, static, given = [], [], []
    for leaf, letters in itertools.chain(lettered, arrays_of(options)):
        static.append(... if letters is not None else leaf)
        if letters is not None:
            axis = cut.axis(letters, leaf.shape)
            if axis is not None:
                size = leaf.shape[axis] // len(there)
                leaf = leaf.reshape(*leaf.shape[:axis], len(there), size, *leaf.shape[axis + 1 :])
            axes.append(axis)
            # `src` says where gradients go: back to where the whole is.
            given.append(jax.device_put(leaf, sharding(axis), src=home))
    out = 0 if over == "batch" else cut.batch + into.split().index("H") - 1
    tree = jax.tree.structure(options)
    program = _program(function, tuple(arrays), tree, tuple(static), tuple(axes), out, there)
    pieces = program(*given)
    whole = pieces.reshape(*pieces.shape[:out], -1, *pieces.shape[out + 2 :])
    return jax.device_put(whole, home, src=sharding(out))


@functools.lru_cache(maxsize=256)
def _program(
    function: Callable[..., Array],
    names: tuple[str, ...],
    tree: Any,
    static: tuple[Any, ...],
    axes: tuple[int | None, ...],
    out: int,
    devices: tuple[Any, ...],
) -> Callable[..., Array]:
    """The pmapped function of all arrays, in their order; the rest of its arguments is fixed.

    Args:
      function: takes the arrays and the options by name.
      names: of the arrays.
      tree: the structure of the options.
      static: the leaves of all; `...` where there is an array.
      axes: along which each array is cut.
      out: along which the result is.
      devices: to compute on.
    """

    def piece(*arrays: Array) -> Array:
        left = iter(arrays)
        leaves = [next(left) if leaf is ... else leaf for leaf in static]
        options = jax.tree.unflatten(tree, leaves[len(names) :])
        return function(**dict(zip(names, leaves, strict=False)), **options)

    return jax.pmap(piece, in_axes=axes, out_axes=out, devices=devices)


def _chosen(devices: Devices) -> tuple[Any, ...]:
    there = jax.local_devices()
    if devices is None:
        return tuple(there)
    if not isinstance(devices, int):
        if not devices:
            raise ValueError("devices is empty; at least one would fit")
        return tuple(devices)
    if not 1 <= devices <= len(there):
        raise ValueError(f"devices is {devices}; 1 to {len(there)} would fit, as many as are here")
    return tuple(there[:devices])
