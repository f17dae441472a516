"""Training on a mesh: rows, heads, vocabulary, positions, parameters and optimizer state apart.

The step is the one that one device takes. It is told where its arguments lie, by the letters of
their axes, and XLA's partitioner puts the communication in (Xu et al. 2021, "GSPMD"). Attention
along a cut sequence is `sequence.attend`.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from attention_jax.data.batches import Batch, blank
from attention_jax.parallel import apart, sequence
from attention_jax.parallel.layout import Layout, fitting, spec
from attention_jax.parallel.padding import padded
from attention_jax.training.checkpoint import flatten
from attention_jax.training.programs import Optimizer, Programs
from attention_jax.training.step import State


def arrange(mesh: Mesh) -> Callable[[Array, str], Array]:
    """What tells a model's activations, (array, letters) -> array, where they lie on the mesh.

    Axes that their devices do not divide stay whole.
    """

    def placed(x: Array, letters: str) -> Array:
        where = NamedSharding(mesh, fitting(letters, x.shape, mesh))
        return jax.lax.with_sharding_constraint(x, where)

    return placed


class MeshPrograms(Programs):
    """Everything that training on a mesh compiles; see `Programs`.

    Args:
      make_model: as in `Programs`; the model's call takes `attend` and `arrange`, and its
        parameters carry letters.
      optimizer: as in `Programs`.
      layout: of the devices.
      devices: these, in this order, which need not be there to compile; None takes all there are.
      **settings: as in `Programs`.

    Attributes:
      mesh: the devices.
      shardings: where each array of a state lies.
      call: what the model is called with besides a batch.
    """

    def __init__(
        self,
        make_model: Callable[[nnx.Rngs], nnx.Module],
        optimizer: Optimizer,
        *,
        layout: Layout,
        devices: Sequence[Any] | None = None,
        **settings: Any,
    ):
        self.layout, self.mesh = layout, layout.mesh(devices)
        self.devices = layout.size
        if jax.process_count() > 1:
            self.share, self.multiple = own_part(self.mesh), layout.batches
        super().__init__(make_model, optimizer, **settings)
        if settings.get("rng") == "rbg" and layout.size > 1:
            self.notes.append(
                "training.rng is rbg: every device of a mesh draws the dropout of all; with "
                "threefry2x32 each draws its own"
            )

    def start(self, seed: int) -> State:
        """See `Programs.start`; each device makes its own part."""
        return self._program("start", self._sharded_start, self._seed)(np.uint32(seed))

    def place(self, state: State) -> State:
        """See `Programs.place`."""
        if jax.process_count() == 1:
            return jax.device_put(state, self.shardings, may_alias=False)
        there = jax.tree.map(
            lambda leaf, where: jax.make_array_from_callback(
                leaf.shape, where, functools.partial(np.array(leaf).__getitem__)
            ),
            state,
            self.shardings,
        )
        # Copied by the devices: a step uses its state up, and numpy's memory is not theirs to use.
        return self._copy(there)

    def put(self, batch: Any) -> Any:
        """See `Programs.put`; filled up with empty rows and positions until it can be cut."""
        self._check(batch)
        if jax.process_count() == 1:
            filled = padded(batch, self.layout.batches, self.layout.sequence)
            return jax.device_put(filled, self._batch)
        filled = padded(batch, 1, self.layout.sequence)

        def whole(x: np.ndarray) -> Array:
            shape = len(x) * self.share[1], *x.shape[1:]  # all positions: devices take theirs
            return jax.make_array_from_process_local_data(self._batch, x, shape)

        return jax.tree.map(whole, filled)

    def put_structs(self, batch: Any) -> Any:
        """See `Programs.put_structs`."""
        self._check(batch)

        def filled(leaf: Any) -> jax.ShapeDtypeStruct:
            by = (self.layout.batches, self.layout.sequence, *[1] * len(leaf.shape))
            up = (math.ceil(n / one) * one for n, one in zip(leaf.shape, by, strict=False))
            return jax.ShapeDtypeStruct(tuple(up), leaf.dtype)

        return jax.tree.map(filled, batch)

    def lower(self, rows: int, length: int) -> Any:
        """The training step for batches of [rows, length], lowered and not compiled."""
        return self._train.lower(self.structs, self.put_structs(blank(rows, length)))

    def _check(self, batch: Any) -> None:
        if self.layout.sequence > 1 and not isinstance(batch, Batch):
            raise ValueError(
                f"mesh {self.layout} cuts sequences, which this batch, a {type(batch).__name__}, "
                "is none of; sequence=1 would fit"
            )

    def _transformed(self, train: Callable[..., Any], evaluate: Callable[..., Any]) -> Any:
        letters = letters_of(self.model)
        whole: Any = NamedSharding(self.mesh, PartitionSpec())

        def where(leaf: Any, letters: str) -> NamedSharding:
            if letters == "D":  # no memory to save, and its gradient would cut activations likewise
                return whole
            return NamedSharding(self.mesh, fitting(letters, leaf.shape, self.mesh))

        params = jax.tree.map(where, self.structs.params, letters)
        moments = optax.tree.map_params(
            self.optimizer,
            where,
            self.structs.optimizer,
            letters,
            transform_non_params=lambda _: whole,
        )
        self.shardings = State(params, moments, whole, whole, whole)
        self.notes: list[str] = list(self._left_whole(letters))
        self._batch = NamedSharding(self.mesh, spec("B T" if self.layout.sequence > 1 else "B"))
        self._sharded_start = jax.jit(self._start, out_shardings=self.shardings)
        self._copy = jax.jit(
            functools.partial(jax.tree.map, jax.numpy.copy), out_shardings=self.shardings
        )
        attend: Callable[..., Array] = apart.attend
        if self.layout.sequence > 1:
            attend = functools.partial(sequence.attend, exchange=self.layout.exchange)
        self.call: dict[str, Any] = {
            "arrange": arrange(self.mesh),
            "attend": functools.partial(attend, mesh=self.mesh),
        }
        step, evaluation = (functools.partial(make(), **self.call) for make in (train, evaluate))
        return (
            jax.jit(
                step,
                in_shardings=(self.shardings, self._batch),
                out_shardings=(self.shardings, whole),
                donate_argnums=0,
            ),
            jax.jit(evaluation, in_shardings=(params, self._batch), out_shardings=whole),
        )

    def _left_whole(self, letters: Any):
        """Parameters with an axis that the layout would cut, if only its size let it."""
        for (name, leaf), axes in zip(
            flatten(self.structs.params).items(), jax.tree.leaves(letters), strict=True
        ):
            wanted, found = spec(axes), fitting(axes, leaf.shape, self.mesh)
            for letter, size, one, other in zip(
                axes.split(), leaf.shape, wanted, found, strict=True
            ):
                if one != other:
                    why = f"as {one}={self.mesh.shape[one]} does not divide it"
                    yield f"{name}: {letter} = {size:,} stays whole, {why}"


def own_part(mesh: Mesh) -> tuple[int, int]:
    """Which part of a batch's rows, of how many, the devices of this process hold between them.

    That is part 0 of 1, all rows, where they hold no run of rows that begins at a multiple of its
    own length.
    """
    parts = mesh.devices.reshape(mesh.shape["data"] * mesh.shape["fsdp"], -1)
    own = [
        row
        for row, devices in enumerate(parts)
        if any(device.process_index == jax.process_index() for device in devices)
    ]
    first, size = own[0], len(own)
    if own[-1] - first + 1 != size or first % size or len(parts) % size:
        return 0, 1
    return first // size, len(parts) // size


def letters_of(model: nnx.Module) -> Any:
    """The letters of each parameter's axes, in the structure of `training.step.split`'s params.

    Raises:
      ValueError: a parameter carries none, or not as many as it has axes.
    """
    _, params = nnx.split(model, nnx.Param)

    def letters(path: Any, variable: nnx.Variable) -> str:
        found = variable.get_metadata().get("letters", "")
        if len(found.split()) != len(variable.shape):
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise ValueError(
                f"the parameter {name} has shape {list(variable.shape)} and the letters "
                f"{found!r}; one letter an axis would fit: nnx.Param(array, letters='D F')"
            )
        return found

    found = jax.tree_util.tree_map_with_path(
        letters, params, is_leaf=lambda x: isinstance(x, nnx.Variable)
    )
    return nnx.to_pure_dict(found)
