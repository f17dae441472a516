"""Names that end with lengths: "reverse-25", and "reverse-25-50", which is tested beyond 25 too."""

import re
from typing import NamedTuple

from attention_jax.data.lines import DataError


class Lengths(NamedTuple):
    """The longest of what a model is trained on, and of what it is tested on besides, if on any."""

    trained: int
    tested: int | None = None

    @property
    def longest(self) -> int:
        """The longest of all."""
        return self.tested or self.trained

    def __str__(self) -> str:
        return "-".join(str(length) for length in self if length is not None)


def lengths_in(name: str, kind: str, of: str, most: int) -> Lengths | None:
    """(25, 50) of the corpus name "reverse-25-50", where kind is "reverse"; None of another kind.

    Args:
      name: of a corpus.
      kind: what the name begins with.
      of: what is counted, for the message.
      most: the greatest length.

    Raises:
      DataError: no sentence can be so long, or the second number is not above the first.
    """
    if not (found := re.fullmatch(rf"{re.escape(kind)}-(\d+)(?:-(\d+))?", name)):
        return None
    trained, tested = (None if text is None else int(text) for text in found.groups())
    if trained is None or not 1 <= trained <= most:
        raise DataError(f"{name} has {found[1]} {of}; {kind}-1 to {kind}-{most} would fit.")
    if tested is not None and not trained < tested <= most:
        raise DataError(
            f"{name} is tested up to {tested} {of}; more than {trained}, up to {most}, would fit."
        )
    return Lengths(trained, tested)
