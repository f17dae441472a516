"""What all texts that become rows of tokens share: sizes that fit, what is left out, a digest."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from attention_jax.data.lines import DataError
from attention_jax.data.tokens import SMALLEST, Tokenizer


def check_sizes(config: Any) -> None:
    """Refuses sizes that no rows can have.

    Raises:
      DataError: one of vocabulary, max_length, rows and limit does not fit.
    """
    for name, least in (("vocabulary", SMALLEST), ("max_length", 4), ("rows", 1), ("limit", 1)):
        value = getattr(config, name)
        if value is not None and value < least:
            raise DataError(f"{name} is {value}; it must be at least {least}")


def left_out(split: str, short: Sequence[bool], longest: int) -> list[str]:
    """A note on how many texts of a split are too long, or none.

    Args:
      split: its name; test splits may lose all.
      short: of each text, whether it fits.
      longest: tokens that a text may have, marks included.

    Raises:
      DataError: nothing is left of training or validation.
    """
    if not any(short) and split in ("train", "validation"):
        raise DataError(
            f"none of {len(short):,} {split} texts has at most {longest} tokens, marks included"
        )
    long = len(short) - sum(short)
    if not long:
        return []
    return [
        f"{split}: left out {long:,} of {len(short):,} texts with more than {longest} tokens, "
        "marks included"
    ]


def digest_of(tokenizer: Tokenizer, labels: Sequence[str], rows: Mapping[str, Any]) -> str:
    """SHA-256 of all that decides what a model sees, in hex."""
    found = hashlib.sha256("\n".join([tokenizer.digest(), *labels]).encode())
    for split, batch in rows.items():
        for array in batch:
            found.update(f"{split} {array.shape} {array.dtype}".encode())
            found.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()
