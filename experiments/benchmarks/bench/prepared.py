"""What a benchmark hands to the process that measures it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Prepared:
    """One contender, ready for one case.

    Attributes:
      call: does the work once and waits for it; gives the result.
      look: a few numbers of a result, by which contenders are held against each other.
      label: what it is, with settings that matter: "torch 2.15.0, fused Adam".
      ahead: nothing is compiled in the first call, so that its memory is the work's own.
    """

    call: Callable[[], Any]
    look: Callable[[Any], list[float]]
    label: str
    ahead: bool = False


def unknown(contender: str, known: Iterable[str]) -> ValueError:
    """The error for a contender that a benchmark does not have."""
    return ValueError(f"contender is {contender!r}; of {list(known)} one would fit")
