"""Checkpoints of a whole training state, by Orbax, with what Orbax leaves out.

Orbax gives asynchronous writes that a kill at any moment cannot break. Added here: a SHA-256 of
every array, since a flipped bit loads silently; strict names, shapes and dtypes, since a wrong
dtype is cast silently; and which checkpoints stay.
"""

import errno
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

RECORD = "record"


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
    """

    def __init__(self, folder: Path, *, keep: int = 3, every: int = 1):
        from orbax.checkpoint import v1 as ocp

        _quieten()
        policies: Any = ocp.training.save_decision_policies
        self.folder = Path(folder).absolute()
        self.keeper = _Keeper(keep, every)
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
                        raise _as_os_error(error, self.folder) from error

    @property
    def steps(self) -> list[int]:
        """Steps that have a finished checkpoint."""
        return [checkpoint.step for checkpoint in self._orbax.checkpoints]

    @property
    def regular(self) -> list[int]:
        """The steps among `steps` that are multiples of `every`."""
        return [step for step in self.steps if step % self.keeper.every == 0]

    def save(self, step: int, state: Any, record: Mapping[str, Any], *, best: int | None) -> None:
        """Copies the state to the host and starts writing it; waits for the write before this one.

        Args:
          step: batches done.
          state: any pytree of arrays.
          record: what else to keep; JSON.
          best: the step with the best validation loss, whose checkpoint stays.

        Raises:
          OSError: this write could not start, or the one before failed; the last good one stays.
        """
        # A copy: on a CPU the host sees the very buffers that the next step overwrites.
        arrays = {name: np.array(leaf) for name, leaf in flatten(jax.device_get(state)).items()}
        digests = {name: _hash(array) for name, array in arrays.items()}
        text = json.dumps({"record": record, "digests": digests}).encode()
        arrays[RECORD] = np.frombuffer(text, np.uint8)
        self.wait()
        self.keeper.best = best
        # Orbax survives a full disk, but its threads fill the screen with what they think of it.
        needed = sum(array.nbytes + 4096 for array in arrays.values())  # and a block each
        if shutil.disk_usage(self.folder).free < needed:
            raise _full(self.folder)
        try:
            self._writing = self._orbax.save_async(step, arrays, force=True)
        except Exception as error:
            raise _as_os_error(error, self.folder) from error

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
                raise _as_os_error(error, self.folder) from error

    def load(self, structs: Any, step: int | None = None, *, at: str = "") -> Restored:
        """Reads a checkpoint back as numpy arrays, in the structure of `structs`.

        Args:
          structs: a pytree of shapes and dtypes.
          step: which; None takes the newest.
          at: loads only the part of the saved tree of that name, such as "params"; `structs` is
            then that part's.

        Raises:
          ValueError: there is no such checkpoint, another model wrote it, or it is damaged.
        """
        self.wait()
        step = max(self.steps, default=None) if step is None else step
        if step is None or step not in self.steps:
            there = ", ".join(map(str, self.steps)) or "none"
            raise ValueError(f"{self.folder} has no checkpoint of step {step}; there is: {there}")
        return read(self.folder / str(step), structs, at=at)


def read(folder: Path, structs: Any, *, at: str = "") -> Restored:
    """One checkpoint's folder as numpy arrays; see `Checkpoints.load`."""
    from orbax.checkpoint import v1 as ocp

    _quieten()
    folder = Path(folder).absolute()
    prefix = f"{at}." if at else ""
    wanted = {prefix + name: leaf for name, leaf in flatten(structs).items()}
    try:
        found: dict[str, Any] = dict(ocp.metadata(str(folder)).metadata)
    except Exception as error:  # whatever Orbax finds wrong with the folder
        raise ValueError(f"{folder} is damaged or no checkpoint: {_first_line(error)}") from error
    saved = {name: leaf for name, leaf in found.items() if name.startswith(prefix)}
    saved.pop(RECORD, None)
    if RECORD not in found:
        raise ValueError(f"{folder} is no checkpoint of a training run")
    _check_fit(folder, wanted, saved)
    chosen = {
        name: np.empty(leaf.shape, leaf.dtype) if name in (*wanted, RECORD) else ocp.PLACEHOLDER
        for name, leaf in found.items()
    }
    try:
        arrays = ocp.load(str(folder), chosen)
        text = json.loads(arrays.pop(RECORD).tobytes())
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{folder} is damaged: {_first_line(error)}") from error
    for name in wanted:
        if text["digests"].get(name) != _hash(arrays[name]):
            raise ValueError(f"{folder} is damaged: the digest of {name} is another than it was")
    leaves = [arrays[name] for name in wanted]
    return Restored(jax.tree.unflatten(jax.tree.structure(structs), leaves), text["record"])


def digest(params: Any) -> str:
    """SHA-256 over all arrays: equal exactly if all bits are."""
    total = hashlib.sha256()
    for name, leaf in flatten(jax.device_get(params)).items():
        total.update(f"{name} {leaf.dtype} {leaf.shape}".encode())
        total.update(np.ascontiguousarray(leaf).tobytes())
    return total.hexdigest()


def finished(folder: Path) -> list[int]:
    """Steps with a finished checkpoint in a run's checkpoint folder, which is only looked at."""
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(path.name) for path in there if path.name.isdecimal())


def read_record(folder: Path) -> dict[str, Any]:
    """What else than arrays one checkpoint's folder holds."""
    return read(folder, {}, at=RECORD).record


def write(folder: Path, tree: Any, record: Mapping[str, Any]) -> None:
    """Writes one checkpoint of its own, in place of what the folder held."""
    from orbax.checkpoint import v1 as ocp

    arrays = {name: np.asarray(leaf) for name, leaf in flatten(tree).items()}
    digests = {name: _hash(array) for name, array in arrays.items()}
    text = json.dumps({"record": record, "digests": digests}).encode()
    arrays[RECORD] = np.frombuffer(text, np.uint8)
    try:
        ocp.save(str(Path(folder).absolute()), arrays, overwrite=True)
    except Exception as error:
        raise _as_os_error(error, folder) from error


def mean(trees: list[Any]) -> Any:
    """The mean of trees of arrays, summed in float64 in their order; dtypes stay."""

    def average(*leaves):
        total = np.zeros(leaves[0].shape, np.float64)
        for leaf in leaves:
            total += np.asarray(leaf, np.float64)
        return (total / len(leaves)).astype(leaves[0].dtype)

    return jax.tree.map(average, *trees)


def flatten(tree: Any) -> dict[str, Any]:
    """Leaves by their path, such as "params.encoder.0.norm.scale", in the tree's own order."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


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


def _quieten() -> None:
    """Orbax logs each thread's part of a failure at length; it also raises it."""
    logging.getLogger("absl").addFilter(_not_orbax)
    logging.getLogger("asyncio").addFilter(_not_orbax)


def _not_orbax(entry: logging.LogRecord) -> bool:
    return "orbax" not in entry.pathname and "tensorstore" not in entry.getMessage()


def _check_fit(folder: Path, wanted: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Refuses arrays of other names, shapes or dtypes than wanted, and names the first."""
    for name in [*wanted, *(name for name in saved if name not in wanted)]:
        here, there = (_describe(arrays.get(name)) for arrays in (wanted, saved))
        if here != there:
            raise ValueError(
                f"{folder} was written by another model: {name} is {there} there and {here} here"
            )


def _describe(leaf: Any) -> str:
    return "nothing" if leaf is None else f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).hexdigest()


def _as_os_error(error: BaseException, folder: Path) -> OSError:
    """Whatever a write raised as an OSError of one line."""
    full = ("no space left", "enospc", "resource_exhausted", "disk quota")
    cause: BaseException | None = error
    while cause is not None:
        lost = getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if lost or any(word in str(cause).lower() for word in full):
            return _full(folder)
        cause = cause.__cause__ or cause.__context__
    number = getattr(error, "errno", None) or errno.EIO
    return OSError(number, f"a checkpoint could not be written: {_first_line(error)}", str(folder))


def _full(folder: Path) -> OSError:
    return OSError(
        errno.ENOSPC,
        "the disk is full: this checkpoint could not be written; the last good one is kept and the "
        "same command goes on from it once there is room",
        str(folder),
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).partition(" [tensorstore_spec")[0].strip().splitlines()
    return lines[0] if lines else type(error).__name__
