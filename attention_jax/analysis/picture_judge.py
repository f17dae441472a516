"""A judge of pictures: a small convolutional network, trained on real ones with their labels.

It has no part in what it judges: no attention, and no parameter of it. Its words say what a picture
shows, and its last features how pictures differ.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float

from attention_jax.data.images import Pictures, as_floats, shifted
from attention_jax.data.rows import RowsPlan
from attention_jax.training.loss import smoothed_cross_entropy

FEATURES = 64
"""numbers that a picture is told from others by"""
WIDTHS = 16, 32
"""features after each convolution"""
BATCH = 128
RATE = 2e-3
SHIFT = 2
"""pixels by which chance moves the pictures that the judge learns from"""


class Judge:
    """A trained judge.

    Args:
      pictures: to learn from; sides of at least 4 pixels.
      classes: how many kinds there are.
      steps: of training, 128 pictures each, or all of them where there are fewer.
      seed: of parameters, order and shifts.

    Raises:
      ValueError: there is nothing to learn from, or steps is below 1.
    """

    def __init__(self, pictures: Pictures, classes: int, *, steps: int = 1_500, seed: int = 0):
        if steps < 1:
            raise ValueError(f"steps is {steps}; it must be at least 1")
        if not len(pictures.labels) or min(pictures.images.shape[1:3]) < 4:
            raise ValueError(
                f"pictures have shape {list(pictures.images.shape)}; at least one, with sides of "
                "at least 4, would fit"
            )
        self._features = jax.jit(_features)
        self._logits = jax.jit(_logits)
        self._params = _trained(pictures, classes, steps, seed)

    def features(self, pictures: Any) -> np.ndarray:
        """Pictures, numbers from -1 to 1 [N, side, side, channels], as features [N, FEATURES]."""
        return in_parts(lambda part: self._features(self._params, part), pictures)

    def labels(self, pictures: Any) -> np.ndarray:
        """What pictures show, as the judge sees it: [N]."""
        found = in_parts(lambda part: self._logits(self._params, part), pictures)
        return found.argmax(-1)


def in_parts(function: Any, *rows: Any, size: int = 250) -> np.ndarray:
    """What a function gives for arrays that lead with as many rows, a part of them at a time.

    All parts have one size, so that one program serves them all: rows of zeros fill the last up.
    """
    count, found = len(rows[0]), []
    size = min(size, count)
    for at in range(0, count, size):
        parts = [np.asarray(each[at : at + size]) for each in rows]
        spare = size - len(parts[0])
        parts = [np.pad(each, [(0, spare)] + [(0, 0)] * (each.ndim - 1)) for each in parts]
        found.append(np.asarray(function(*parts))[: size - spare])
    return np.concatenate(found)


def _trained(pictures: Pictures, classes: int, steps: int, seed: int) -> Any:
    def change(batch: Pictures, chance: np.random.Generator) -> Pictures:
        return batch._replace(images=shifted(batch.images, SHIFT, chance))

    size = min(BATCH, len(pictures.labels))
    plan = RowsPlan(pictures, size=size, seed=seed, change=change)
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, steps))

    def loss(params, batch):
        logits = _logits(params, as_floats(batch.images))
        sums = smoothed_cross_entropy(logits, batch.labels, jnp.ones(size))
        return sums.loss / sums.tokens

    @jax.jit
    def step(params, moments, batch):
        updates, moments = optimizer.update(jax.grad(loss)(params, batch), moments, params)
        return optax.apply_updates(params, updates), moments

    params = _fresh(pictures.images.shape[1:], classes, seed)
    moments = optimizer.init(params)
    for index in range(steps):
        params, moments = step(params, moments, plan[index])
    return params


def _fresh(shape: tuple[int, ...], classes: int, seed: int) -> dict[str, Array]:
    first, second = WIDTHS
    flat = (shape[0] // 4) * (shape[1] // 4) * second
    shapes = {
        "first": (3, 3, shape[2], first),
        "second": (3, 3, first, second),
        "features": (flat, FEATURES),
        "logits": (FEATURES, classes),
    }
    keys = jax.random.split(jax.random.key(seed, impl="threefry2x32"), len(shapes))
    make = jax.nn.initializers.he_normal()
    kernels = {
        name: make(key, size) for key, (name, size) in zip(keys, shapes.items(), strict=True)
    }
    return kernels | {f"{name} bias": jnp.zeros(size[-1]) for name, size in shapes.items()}


def _features(params: Any, x: Float[Array, "B rows columns P"]) -> Float[Array, "B F"]:
    for name in ("first", "second"):
        numbers = ("NHWC", "HWIO", "NHWC")
        x = lax.conv_general_dilated(x, params[name], (1, 1), "SAME", dimension_numbers=numbers)
        x = jax.nn.relu(x + params[f"{name} bias"].reshape(1, 1, 1, -1))
        count, rows, columns, width = x.shape
        x = x[:, : rows // 2 * 2, : columns // 2 * 2]
        x = x.reshape(count, rows // 2, 2, columns // 2, 2, width).mean((2, 4))
    x = x.reshape(x.shape[0], -1) @ params["features"] + params["features bias"][None]
    return jax.nn.relu(x)


def _logits(params: Any, x: Float[Array, "B rows columns P"]) -> Float[Array, "B V"]:
    return _features(params, x) @ params["logits"] + params["logits bias"][None]
