"""The near end of a library's process: requests in, answers out, and what it said when it ended."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
SERVER = "experiments.benchmarks.bench.server"
LAST = 12  # lines of standard error


class Ended(RuntimeError):
    """A library's process is gone; the message has the last lines that it wrote."""


class Refused(RuntimeError):
    """A library's process could not do what was asked, and lives."""


class Process:
    """A library's process, which lives until it is closed."""

    def __init__(
        self,
        python: str,
        *,
        variables: Mapping[str, str] = os.environ,
        cores: Sequence[int],
        clock: str = "wall",
    ):
        """Starts it and waits until it answers.

        Args:
          python: the interpreter that has the library.
          variables: its whole environment.
          cores: numbers of those that it may run on.
          clock: "wall", or "cpu" for the time of the process's own threads.

        Raises:
          Ended: it did not start.
        """
        settings = json.dumps({"cores": list(cores), "clock": clock})
        self.python = python
        self._said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [python, "-m", SERVER, settings],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
                cwd=ROOT,
                env={**variables, "PYTHONPATH": str(ROOT)},
            )
        except OSError as error:
            self._said.close()
            raise Ended(f"{python} cannot be started: {error.strerror}") from error
        try:
            self.versions: dict[str, str] = self._answer()["versions"]
        except Ended:
            self.close()
            raise

    def prepare(self, module: str, contender: str, case: Mapping) -> dict[str, Any]:
        """Makes a contender ready for a case: its first seconds, its memory, its result's numbers.

        Raises:
          Refused: the library could not.
          Ended: the process is gone.
        """
        return self._ask(do="prepare", module=module, contender=contender, case=case)

    def run(self, module: str, contender: str, case: Mapping, times: int) -> list[float]:
        """Seconds of each of so many calls; errors as in `prepare`."""
        asked = {"module": module, "contender": contender, "case": case, "times": times}
        return self._ask(do="run", **asked)["seconds"]

    def drop(self) -> None:
        """Lets go of all that was prepared; errors as in `prepare`."""
        self._ask(do="drop")

    def close(self) -> None:
        """Ends the process, if it has not ended by itself."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
                self._process.wait(timeout=20)
            except (OSError, subprocess.TimeoutExpired):
                self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None
        found = self._answer()
        if "error" in found:
            raise Refused(found["error"])
        return found

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        return json.loads(line)

    def _ended(self) -> Ended:
        code = self._process.wait()
        self._said.seek(0)
        said = self._said.read().strip().splitlines()[-LAST:] or ["it said nothing"]
        return Ended("\n  ".join([f"the process of {self.python} ended with code {code}:", *said]))


def here() -> list[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
