"""What training reads: batches by number, each a pure function of (seed, number)."""

from collections.abc import Sequence
from typing import Any, Protocol


class Plan(Protocol):
    """All batches of a run, without end; reading is safe from many threads.

    A batch is a named tuple of NumPy arrays that lead with its rows and have few and fixed shapes.
    """

    def __getitem__(self, index: int, /) -> Any:
        """Batch number `index`, from 0."""
        ...

    def share(self, index: int, part: int, of: int, *, multiple: int = 1) -> Any:
        """One of the equal parts of batch `index`; see `BatchPlan.share`."""
        ...

    @property
    def blanks(self) -> Sequence[Any]:
        """A batch of zeros for each of the shapes that batches have."""
        ...
