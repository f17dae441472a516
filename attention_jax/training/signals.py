"""Asked to stop from outside: a run finishes its step and saves it; asked twice, it leaves at once.

SIGTERM is what queues and containers send before they kill, SIGINT is Ctrl-C, SIGHUP a terminal
that closes. Leaving at once is safe at any moment: nothing is written that half of looks whole.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

SAVED = 75
"""exit code of a run that is saved and can go on (EX_TEMPFAIL of sysexits.h: try again)"""

GRACE = 9.0
"""seconds from the signal to the end, whatever the run is doing"""

TOGETHER = 0.5
"""seconds in which signals are one: supervisors tell a process and its group at the same time"""

_ASKING = ("SIGTERM", "SIGINT", "SIGHUP")


class Stopped(KeyboardInterrupt):
    """A run was asked to stop, and has.

    Attributes:
      saved: all that it did can be gone on from.
      code: for the process to exit with.
    """

    def __init__(self, number: int, saved: bool, said: str = ""):
        name = signal.Signals(number).name
        kept = "all is saved" if saved else "nothing new was there to save"
        super().__init__(f"stopped by {name}: {said or kept}; the same command goes on")
        self.saved = saved
        self.code = SAVED if saved else 128 + number


class Asked(Exception):
    """A run was asked to stop, and is in a piece of work that it can leave undone."""


class Signals(contextlib.AbstractContextManager):
    """What to do when asked to stop, while this context lasts.

    Whoever holds it looks at `asked` between two steps, inside `finishing`. Elsewhere `Stopped` is
    raised there and then. Only a process's main thread can do this; in others nothing is changed.

    Args:
      grace: seconds after which the process leaves all the same; the main thread may be in a long
        compilation.

    Attributes:
      asked: the signal's number, or None.
      saved: whether nothing is lost if the process stops now.
    """

    def __init__(self, grace: float = GRACE):
        self.grace = grace
        self.asked: int | None = None
        self.saved = False
        self._finishing = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is not threading.main_thread():
            return self
        numbers = [getattr(signal, name) for name in _ASKING if hasattr(signal, name)]
        # Ignored is meant: nohup, or a shell's background job.
        numbers = [n for n in numbers if signal.getsignal(n) not in (signal.SIG_IGN, None)]
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._woken = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        threading.Thread(target=self._watch, args=(set(numbers),), daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._before:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before = {}
            signal.set_wakeup_fd(self._woken)
            os.close(self._writer)  # which ends the watching thread

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """Here a signal only sets `asked`."""
        self._finishing = True
        try:
            yield
        finally:
            self._finishing = False

    def check(self) -> None:
        """Raises Asked if asked to stop."""
        if self.asked is not None:
            raise Asked

    def stop(self, *, saved: bool, said: str = "") -> None:
        """Raises Stopped if asked to."""
        if self.asked is not None:
            raise Stopped(self.asked, saved, said)

    def _note(self, number: int, _: Any) -> None:
        """In the main thread, between two instructions of Python."""
        if self.asked is None:
            self.asked = number
            if not self._finishing:
                raise Stopped(number, self.saved)

    def _watch(self, numbers: set[int]) -> None:
        """In a thread of its own, told by the operating system itself."""
        with os.fdopen(self._reader, "rb", buffering=0) as told:
            first = 0
            while first not in numbers:  # others' handlers are told of here too
                if not (byte := told.read(1)):
                    return  # nobody asked
                first = byte[0]
            if self._finishing:
                name = signal.Signals(first).name
                _say(f"{name}: finishing this step and saving; once more leaves at once")
            began, second = time.monotonic(), 0
            ready = select.poll()  # unlike `select` of any number of open files
            ready.register(told, select.POLLIN)
            while not second and (left := began + self.grace - time.monotonic()) > 0:
                if ready.poll(1_000 * left):
                    if not (byte := told.read(1)):
                        return  # it has stopped by itself
                    if byte[0] in numbers and time.monotonic() - began > TOGETHER:
                        second = byte[0]
            why = "asked again" if second else f"not done within {self.grace:g} s"
            _say(f"left at once, {why}: the last checkpoint stands, the same command goes on")
            os._exit(128 + (second or first))


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
