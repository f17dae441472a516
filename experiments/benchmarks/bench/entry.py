"""Who does what: a contender, and a contender with a case."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Contender:
    """Who does the work.

    Attributes:
      name: as tables show it.
      asked: what the benchmark's `prepare` is asked for.
      python: the interpreter that has the library.
      variables: of its environment, beside those that all have.
    """

    name: str
    asked: str
    python: str
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Entry:
    """One contender with one case.

    Attributes:
      module: the benchmark, by its full name.
      contender: who.
      case: what, as `prepare` takes it: JSON.
      title: the case in words.
      tolerance: how near its result must come to its peer's, see `figures.agree`; None: need not.
      beside: the title of another case of this contender, in the same group, that its time is
        divided by too: with a mask over without.
    """

    module: str
    contender: Contender
    case: Mapping[str, Any]
    title: str
    tolerance: float | None = None
    beside: str | None = None
