"""What the processes of one run tell one another; alone, a process asks and answers itself.

jax's own service carries it: process 0 holds a store of words that every process reads and writes.
Unlike collectives between devices it waits as long as it must. `parallel.processes` joins them.
"""

import functools
import json
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

PLACE = "attention_jax"
"""in front of all names in the store"""

_FOREVER = 30 * 24 * 3_600_000  # ms; whether the others live is watched meanwhile
_passed: dict[str, int] = {}  # how often each barrier was, so that every one has its own name


def index() -> int:
    """The number of this process, from 0."""
    return jax.process_index() if jax.distributed.is_initialized() else 0


def count() -> int:
    """How many processes the run has."""
    return jax.process_count() if jax.distributed.is_initialized() else 1


def writes() -> bool:
    """Whether this is the one process that writes logs and records."""
    return index() == 0


def store() -> Any:
    """The store of words; no public name of jax leads to it."""
    from jax._src import distributed

    return distributed.global_state.client


def barrier(name: str) -> None:
    """Returns when all processes have come to the barrier of this name, however long it takes."""
    if count() > 1:
        store().wait_at_barrier(f"{PLACE}/{name}/{_number(name)}", _FOREVER)


def gather(value: Any) -> list[Any]:
    """The values of all processes, fit for JSON, in their order; a barrier for all."""
    if count() == 1:
        return [value]
    there, place = store(), f"{PLACE}/told/{_number('told')}/"
    there.key_value_set(f"{place}{index()}", json.dumps(value))
    found = [there.blocking_key_value_get(f"{place}{i}", _FOREVER) for i in range(count())]
    barrier("read")
    if index() == 0:
        there.key_value_delete(place)
    return [json.loads(text) for text in found]


def share(value: Any) -> Any:
    """What process 0 says, fit for JSON, in every process; a barrier for all."""
    return gather(value if writes() else None)[0]


def most(number: int) -> jax.Array:
    """The largest of the numbers that all processes give, computed behind what was asked before.

    Nobody waits for it until its value is read, steps later; then all read the same.
    """
    rows, largest = _largest()
    given = np.full(1, number, np.int32)
    return largest(jax.make_array_from_process_local_data(rows, given, (count(),)))


@functools.cache
def _largest() -> tuple[NamedSharding, Any]:
    firsts = {device.process_index: device for device in reversed(jax.devices())}
    mesh = Mesh(np.asarray([firsts[i] for i in sorted(firsts)], object), ("process",))
    everywhere = NamedSharding(mesh, PartitionSpec())
    return NamedSharding(mesh, PartitionSpec("process")), jax.jit(
        jax.numpy.max, out_shardings=everywhere
    )


def _number(name: str) -> int:
    _passed[name] = _passed.get(name, 0) + 1
    return _passed[name]
