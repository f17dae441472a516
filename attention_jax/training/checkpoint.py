"""Checkpoints of a whole training state, by Orbax, with what Orbax leaves out.

Orbax gives asynchronous writes that a kill at any moment cannot break. Added here: a manifest in
every checkpoint, against which all that is read is verified, and which checkpoints stay.

Several processes write one checkpoint together, each its shards, into a folder that all of them
see; each reads by itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from attention_jax.training import peers
from attention_jax.training.arrays import copies, digest, flatten, mean
from attention_jax.training.contexts import alone, with_manifest
from attention_jax.training.failures import as_os_error, check_place, first_line, quieten
from attention_jax.training.manifest import (
    NAME,
    Damaged,
    Manifest,
    Origin,
    check_leaves,
    describe,
    read_manifest,
)

__all__ = [
    "Checkpoints",
    "Restored",
    "digest",
    "finished",
    "flatten",
    "mean",
    "read",
    "read_record",
    "write",
]

_BLOCK = 4096  # of the disk, which every array may begin anew


class Restored(NamedTuple):
    """What a checkpoint gives back."""

    state: Any
    record: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run; a context manager that waits for the last write at its end.

    Those stay: the last `keep` at multiples of `every`, the best, the newest, `keeper.held`.

    Args:
      folder: theirs alone; made if it is not there.
      keep: how many regular ones stay.
      every: steps between regular ones.
      origin: of what is saved, for the manifests.
      verify: False leaves out the digests, to measure what they cost.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: int = 3,
        every: int = 1,
        origin: Origin | None = None,
        verify: bool = True,
    ):
        from orbax.checkpoint import v1 as ocp

        quieten()
        policies: Any = ocp.training.save_decision_policies
        self.folder = Path(folder).absolute()
        self.keeper = _Keeper(keep, every)
        self.origin = origin or {}
        self.verify = verify
        with with_manifest():
            self._orbax = ocp.training.Checkpointer(
                str(self.folder),
                save_decision_policy=policies.FixedIntervalPolicy(1),
                preservation_policy=self.keeper,
                cleanup_tmp_directories=True,
            )
        self._writing = None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        failed = kind is not None
        try:
            self.wait()
        except OSError:
            if failed:  # an error that is on its way already tells more
                return
            failed = True
            raise
        finally:
            if self._writing is None:
                try:
                    self._orbax.close()
                except Exception as error:
                    if not failed:  # after a failed write it raises the same once more
                        raise as_os_error(error, self.folder) from error

    @property
    def steps(self) -> list[int]:
        """Steps that have a finished checkpoint."""
        return [checkpoint.step for checkpoint in self._orbax.checkpoints]

    @property
    def regular(self) -> list[int]:
        """The steps among `steps` that are multiples of `every`."""
        return [step for step in self.steps if step % self.keeper.every == 0]

    def save(self, step: int, state: Any, record: Mapping[str, Any], *, best: int | None) -> None:
        """Copies the state and starts writing it; waits for the write before this one.

        Args:
          step: batches done.
          state: any pytree of arrays; those that are sharded over processes are written by all of
            them, which all save at the same step.
          record: what else to keep; JSON.
          best: the step with the best validation loss, whose checkpoint stays.

        Raises:
          OSError: this write could not start, or the one before failed; the last good one stays.
        """
        arrays = copies(state)
        manifest = _manifest(arrays, record, self.origin, verify=self.verify)
        self.wait()
        self.keeper.best = best
        # Orbax survives a full disk, but its threads fill the screen with what they think of it.
        if peers.writes():
            check_place(self.folder, _size(arrays, manifest))
        peers.barrier("save")  # Orbax meets on the devices, where none waits long
        try:
            self._writing = self._orbax.save_checkpointables_async(
                step, {"state": arrays, NAME: manifest}, force=True
            )
        except Exception as error:
            raise as_os_error(error, self.folder) from error

    def wait(self) -> None:
        """Returns when nothing is being written any more.

        Raises:
          OSError: the last write failed.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            try:
                writing.result()
            except Exception as error:
                raise as_os_error(error, self.folder) from error

    def load(self, structs: Any, step: int | None = None, *, at: str = "") -> Restored:
        """Reads a checkpoint back as numpy arrays, in the structure of `structs`.

        Args:
          structs: a pytree of shapes and dtypes.
          step: which; None takes the newest.
          at: loads only the part of the saved tree of that name, such as "params"; `structs` is
            then that part's.

        Raises:
          Damaged: it is not what was written.
          ValueError: there is no such checkpoint, or another model wrote it.
        """
        self.wait()
        step = max(self.steps, default=None) if step is None else step
        if step is None or step not in self.steps:
            there = ", ".join(map(str, self.steps)) or "none"
            raise ValueError(f"{self.folder} has no checkpoint of step {step}; there is: {there}")
        return read(self.folder / str(step), structs, at=at, verify=self.verify)


def read(folder: Path, structs: Any, *, at: str = "", verify: bool = True) -> Restored:
    """One checkpoint's folder as numpy arrays; see `Checkpoints.load`.

    Whoever wrote it, with whatever mesh: this process reads it alone, and holds all of it.
    """
    from orbax.checkpoint import v1 as ocp

    quieten()
    folder = Path(folder).absolute()
    prefix = f"{at}." if at else ""
    wanted = {prefix + name: leaf for name, leaf in flatten(structs).items()}
    manifest = read_manifest(folder)
    saved = {name: leaf for name, leaf in manifest.leaves.items() if name.startswith(prefix)}
    check_leaves(folder, wanted, saved)
    chosen = {
        name: np.empty(leaf.shape, leaf.dtype) if name in wanted else ocp.PLACEHOLDER
        for name, leaf in manifest.leaves.items()
    }
    try:
        with alone():
            arrays = ocp.load(str(folder), chosen, checkpointable_name="state")
    except Exception as error:  # whatever Orbax finds wrong with the folder
        raise Damaged(f"{folder} is damaged: {first_line(error)}") from error
    for name in wanted if verify else ():
        if not manifest.leaves[name].fits(arrays[name]):
            raise Damaged(f"{folder} is damaged: {name} is not what was written")
    leaves = [arrays[name] for name in wanted]
    return Restored(jax.tree.unflatten(jax.tree.structure(structs), leaves), manifest.record)


def finished(folder: Path) -> list[int]:
    """Steps with a finished checkpoint in a run's checkpoint folder, which is only looked at."""
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(path.name) for path in there if path.name.isdecimal())


def read_record(folder: Path) -> dict[str, Any]:
    """What else than arrays one checkpoint's folder holds."""
    return read_manifest(Path(folder).absolute()).record


def write(
    folder: Path, tree: Any, record: Mapping[str, Any], *, origin: Origin | None = None
) -> None:
    """Writes one checkpoint of its own, in place of what the folder held.

    Of several processes all come here and write it together.

    Raises:
      OSError: it could not be written.
    """
    from orbax.checkpoint import v1 as ocp

    quieten()
    folder = Path(folder).absolute()
    arrays = copies(tree)
    manifest = _manifest(arrays, record, origin or {})
    if peers.writes():
        folder.parent.mkdir(exist_ok=True)
        check_place(folder.parent, _size(arrays, manifest))
    peers.barrier("write")
    try:
        with with_manifest():
            ocp.save_checkpointables(str(folder), {"state": arrays, NAME: manifest}, overwrite=True)
    except Exception as error:
        raise as_os_error(error, folder.parent) from error


class _Keeper:
    """Orbax's preservation policy for `Checkpoints`."""

    def __init__(self, keep: int, every: int):
        self.keep, self.every = keep, every
        self.best: int | None = None
        self.held: set[int] = set()

    def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
        steps = [checkpoint.step for checkpoint in checkpoints]
        regular = [step for step in steps if step % self.every == 0]
        kept = {*regular[-self.keep :], *steps[-1:], self.best, *self.held}
        return [step in kept for step in steps]


def _size(arrays: Mapping[str, np.ndarray | jax.Array], manifest: Mapping[str, Any]) -> int:
    """Bytes that a checkpoint may take on the disk."""
    return sum(array.nbytes + _BLOCK for array in arrays.values()) + len(str(manifest))


def _manifest(
    arrays: Mapping[str, np.ndarray | jax.Array],
    record: Mapping[str, Any],
    origin: Origin,
    *,
    verify: bool = True,
) -> dict[str, Any]:
    leaves = describe(arrays, hashed=verify)
    return Manifest(leaves, dict(record), origin).to_json()
