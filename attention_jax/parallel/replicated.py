"""Data-parallel training by pmap: every device has all parameters and its rows of each batch."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attention_jax.parallel.padding import padded
from attention_jax.training.programs import Optimizer, Programs
from attention_jax.training.step import State

AXIS = "devices"


class ReplicatedPrograms(Programs):
    """Everything that training by pmap compiles; see `Programs`.

    Each device draws its own dropout, so with dropout the numbers are others than on one device,
    and no worse.

    Args:
      make_model: as in `Programs`.
      optimizer: as in `Programs`.
      devices: of this process; None takes all of them.
      **settings: as in `Programs`.
    """

    def __init__(
        self,
        make_model: Callable[[nnx.Rngs], nnx.Module],
        optimizer: Optimizer,
        *,
        devices: Sequence[Any] | None = None,
        **settings: Any,
    ):
        self._devices = list(jax.local_devices() if devices is None else devices)
        self.devices = len(self._devices)
        super().__init__(make_model, optimizer, **settings)

    def start(self, seed: int) -> State:
        """See `Programs.start`."""
        return self.place(jax.device_get(super().start(seed)))

    def place(self, state: State) -> State:
        """See `Programs.place`; stacked, one copy a device."""
        copies = jax.tree.map(
            lambda leaf: np.broadcast_to(leaf, (self.devices, *np.shape(leaf))), state
        )
        # Copied on the devices: a step uses its state up, and numpy's memory is not theirs to use.
        return self._copy(copies)

    def whole(self, tree: Any) -> Any:
        """See `Programs.whole`: the first device's copy."""
        return jax.tree.map(lambda leaf: np.array(leaf.addressable_shards[0].data)[0], tree)

    def put(self, batch: Any) -> Any:
        """See `Programs.put`; stacked, filled up with empty rows until every device has as many."""
        filled, many = padded(batch, self.devices), self.devices
        return jax.tree.map(
            lambda leaf: leaf.reshape(many, len(leaf) // many, *leaf.shape[1:]), filled
        )

    def put_structs(self, batch: Any) -> Any:
        """See `Programs.put_structs`."""

        def cut(leaf: Any) -> jax.ShapeDtypeStruct:
            rows = math.ceil(leaf.shape[0] / self.devices)
            return jax.ShapeDtypeStruct((self.devices, rows, *leaf.shape[1:]), leaf.dtype)

        return jax.tree.map(cut, batch)

    def state_structs(self) -> State:
        """See `Programs.state_structs`."""
        return jax.tree.map(self._stacked, self.structs)

    def _transformed(self, train: Callable[..., Any], evaluate: Callable[..., Any]) -> Any:
        evaluation = evaluate()

        def sums(params: Any, batch: Any) -> Any:
            return jax.lax.psum(evaluation(params, batch), AXIS)

        mapped = functools.partial(jax.pmap, axis_name=AXIS, devices=self._devices)
        self._copy = mapped(functools.partial(jax.tree.map, jnp.copy))
        return (
            mapped(train(over=AXIS), out_axes=(0, None), donate_argnums=0),
            mapped(sums, out_axes=None),
        )

    def _stacked(self, leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((self.devices, *leaf.shape), leaf.dtype)
