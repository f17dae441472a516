"""Several processes as one run: they find one another, and they end together.

Without more, a process that dies leaves the others waiting, or to a stack trace from C++. Here each
writes a beat into the store of `training.peers` and reads those of the others.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax

from attention_jax.parallel.meeting import check, nobody_came, say
from attention_jax.training.failures import abandon
from attention_jax.training.peers import PLACE, barrier, count, index, share, store, writes

__all__ = ["LOST", "barrier", "count", "index", "join", "joined", "leave", "share", "writes"]

LOST = 69
"""exit code of a process that ends because another has died (EX_UNAVAILABLE of sysexits.h)"""

HEARTBEAT = 20.0
"""seconds without a sign of life after which a process counts as dead"""

PATIENCE = 120.0
"""seconds in which all processes must have come"""

_ENDING = 6.0  # seconds that processes have to end by themselves, once one has
_ENDED = f"{PLACE}/ended"  # the last word of the process that ended first
_NETWORK = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "Socket", "Connection")


class _State:
    """Of the process as a whole."""

    heartbeat = HEARTBEAT
    watching = threading.Thread()
    suspicious = False
    """something between the devices failed: who is silent for less long is gone already"""
    leaving = False
    """nobody waits for the others any more"""


@contextlib.contextmanager
def joined(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    heartbeat: float = HEARTBEAT,
    patience: float = PATIENCE,
) -> Iterator[None]:
    """This process as one of several, from `join` to `leave`; what ends one ends all."""
    join(coordinator, processes, process, heartbeat=heartbeat, patience=patience)
    with _standard_output():
        try:
            yield
        except BaseException as error:
            leave(error)
            raise
        leave()


def join(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    heartbeat: float = HEARTBEAT,
    patience: float = PATIENCE,
) -> None:
    """Makes this process one of several; before anything of jax has run.

    From then on a process that dies ends the others within `heartbeat` and a little, with a line
    that names it and the exit code `LOST`.

    Args:
      coordinator: "HOST:PORT" of process 0, any free port of it; None finds all three by what
        started the processes: SLURM, Open MPI, Kubernetes or Cloud TPU.
      processes: how many there are; with 1 nothing is done.
      process: the number of this one, from 0.
      heartbeat: seconds without a sign of life after which a process counts as dead.
      patience: seconds in which all must have come; after them the process ends with a line.

    Raises:
      ValueError: what is given does not fit together, or nothing tells what is not given.
      OSError: the coordinator's port is in use.
    """
    if (coordinator, processes, process) != (None, None, None):
        check(coordinator, processes, process)
    if processes == 1:
        return
    # jax's answer to SIGTERM; ours is in training/signals.py.
    jax.config.update("jax_enable_preemption_service", False)
    late = threading.Timer(patience, nobody_came, (coordinator, processes, process, patience))
    late.daemon = True
    late.start()
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            cluster_detection_method="deactivate" if coordinator else None,
            initialization_timeout=int(patience) + 10,  # it ends the process from C++
            heartbeat_timeout_seconds=int(2 * heartbeat) + 1,  # so does it
            shutdown_timeout_seconds=int(heartbeat) + 1,
        )
    except ValueError as error:
        raise ValueError(
            "nothing tells how many processes there are: no SLURM, Open MPI, Kubernetes or Cloud "
            "TPU was found; --coordinator HOST:PORT, --processes and --process would fit"
        ) from error
    finally:
        late.cancel()
    _State.heartbeat = heartbeat
    if count() > 1:
        _answer_aborts()
        _State.watching = threading.Thread(target=_watch, args=(heartbeat,), daemon=True)
        _State.watching.start()
    if processes not in (None, there := share(processes)):
        error = ValueError(f"processes is {there} in process 0 and {processes} in {index()}")
        leave(error)
        raise error


def leave(error: BaseException | None = None) -> None:
    """Ends what the processes do together, once all have come here.

    Args:
      error: what ended this one before its time; the others are told and end too.
    """
    if count() == 1 or _State.leaving:
        return
    if error is None:
        barrier("end")
        _State.leaving = True
        if writes():
            store().key_value_set(_ENDED, json.dumps({"process": None}))  # wakes the watching
        _State.watching.join()
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        jax.distributed.shutdown()
        return
    abandon()
    said = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, KeyboardInterrupt) and any(word in said for word in _NETWORK):
        _State.suspicious = True
        _State.watching.join(_State.heartbeat + _ENDING)  # it finds out who is gone, and says so
    code = getattr(error, "code", None)
    told = {"process": index(), "said": said, "code": code if isinstance(code, int) else 2}
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # another was first
        store().key_value_set(_ENDED, json.dumps(told))
    _State.leaving = True
    _take_leave()


def _watch(heartbeat: float) -> None:
    """In a thread of its own: gives signs of life, and ends the process when others give none."""
    there, me = store(), index()
    every = min(heartbeat / 4, max(2.0, count() / 32))  # each reads all: not too much in all
    heard: dict[int, tuple[str, float]] = {i: ("", time.monotonic()) for i in range(count())}
    beat = 0
    while not _State.leaving:
        beat += 1
        try:
            there.key_value_set(f"{PLACE}/beats/{me}", str(beat), allow_overwrite=True)
            for name, value in there.key_value_dir_get(f"{PLACE}/beats/"):
                other = int(name.rpartition("/")[2])
                if heard[other][0] != value:
                    heard[other] = value, time.monotonic()
            limit = min(heartbeat, 3 * every) if _State.suspicious else heartbeat
            gone = [i for i in heard if time.monotonic() - heard[i][1] > limit]
            if gone:
                which = f"process{'es' * (len(gone) > 1)} {', '.join(map(str, gone))}"
                _end(f"{which} gave no sign of life for {limit:g} s", LOST)
            # The wait between two beats, cut short by a last word.
            told = json.loads(there.blocking_key_value_get(_ENDED, int(1000 * every)))
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" in str(error):
                continue
            return _end("process 0 is gone, or cannot be reached any more", LOST)
        if told["process"] not in (me, None):
            time.sleep(_ENDING / 2)  # most end by themselves now, for the same reason
            _end(f"process {told['process']} has ended: {told['said']}", told["code"])
        return


def _answer_aborts() -> None:
    """Gives what C++ ends at once, as it does without process 0, a line and an exit code of ours.

    A handler of Python's own would come too late: it runs between two instructions of the main
    thread, and an abort lets no more of them happen.
    """
    global _aborted
    _aborted = ctypes.CFUNCTYPE(None, ctypes.c_int)(
        lambda _: _end("ended from C++, as happens when process 0 is gone", LOST)
    )
    handle = ctypes.CDLL(None).signal
    handle.argtypes, handle.restype = [ctypes.c_int, type(_aborted)], ctypes.c_void_p
    handle(signal.SIGABRT, _aborted)


_aborted: Any = None  # kept: C calls it


def _end(said: str, code: int) -> None:
    """Ends this process there and then, with a line."""
    if _State.leaving:
        return
    goes_on = "; the last checkpoint stands, the same command in every process goes on"
    say(f"process {index()}: {said}{goes_on * (code == LOST)}")
    _State.leaving = True
    if code != LOST:
        _take_leave()
    os._exit(code)


def _take_leave() -> None:
    """The store ends with process 0, which therefore leaves last."""
    end = time.monotonic() + _ENDING
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        store().key_value_set(f"{PLACE}/left/{index()}", "")
        while index() == 0 and time.monotonic() < end:
            if len(store().key_value_dir_get(f"{PLACE}/left/")) == count():
                time.sleep(0.2)  # for the last one's answer
                break
            time.sleep(0.1)


@contextlib.contextmanager
def _standard_output() -> Iterator[None]:
    """Standard output for Python alone: gloo says there, from C++, whom it has met."""
    if count() == 1 or sys.stdout is not sys.__stdout__ or sys.stdout is None:
        yield
        return
    python: Any = sys.stdout
    python.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(os.dup(kept), "w", encoding=python.encoding) as sys.stdout:
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stdout = python
            os.dup2(kept, 1)
            os.close(kept)
