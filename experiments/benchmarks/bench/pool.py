"""The processes of all contenders: started when first wanted, closed at the end."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks.bench.entry import Contender
from experiments.benchmarks.bench.process import Ended, Process


class Pool:
    """One process for each interpreter and set of variables; contenders of a library share it."""

    def __init__(self, variables: Mapping[str, str], cores: Sequence[int], clock: str = "wall"):
        """Nothing is started yet.

        Args:
          variables: the environment of all.
          cores: numbers of those that all may run on.
          clock: "wall" or "cpu".
        """
        self._variables, self._how = variables, {"cores": cores, "clock": clock}
        self._there: dict[Any, Process | Ended] = {}

    def process(self, contender: Contender) -> Process:
        """The contender's.

        Raises:
          Ended: it is gone, or could not be started.
        """
        which = _which(contender)
        if which not in self._there:
            variables = {**self._variables, **dict(contender.variables)}
            try:
                self._there[which] = Process(contender.python, variables=variables, **self._how)
            except Ended as error:
                self._there[which] = error
        found = self._there[which]
        if isinstance(found, Ended):
            raise found
        return found

    def gone(self, contender: Contender, error: Ended) -> None:
        """Remembers that a contender's process has ended, and why."""
        self._end(_which(contender), error)

    def drop(self) -> None:
        """All let go of what they have prepared."""
        for which, process in list(self._there.items()):
            if isinstance(process, Process):
                try:
                    process.drop()
                except Ended as error:
                    self._end(which, error)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for which in self._there:
            self._end(which, Ended("closed"))

    def _end(self, which: Any, error: Ended) -> None:
        process = self._there[which]
        if isinstance(process, Process):
            process.close()
            self._there[which] = error


def _which(contender: Contender) -> tuple:
    return contender.python, contender.variables
