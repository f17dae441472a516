"""Characters as tokens: no merging, no learning, every text of these characters exactly."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from attention_jax.data.lines import DataError
from attention_jax.data.tokens import END, MARKS, PAD, START


class Characters:
    """Text to character numbers and back; the marks come first, then the characters in their order.

    Args:
      characters: all that texts may have, each once; their order decides the numbers.

    Raises:
      DataError: there are none, or one stands there twice.
    """

    def __init__(self, characters: str):
        if not characters or len(set(characters)) < len(characters):
            raise DataError(
                f"found {len(characters)} characters, {len(set(characters))} of them different; "
                "one or more, each once, would fit."
            )
        self.characters = characters
        self.size = len(MARKS) + len(characters)
        self._numbers = {one: at for at, one in enumerate(characters, start=len(MARKS))}
        points = np.array([ord(one) for one in characters], np.uint32)
        self._order = np.argsort(points, kind="stable")
        self._points = points[self._order]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Characters":
        """Those of the texts, sorted by code point.

        Raises:
          DataError: the texts have none.
        """
        return cls("".join(sorted(set().union(*texts))))

    @classmethod
    def load(cls, path: str | Path) -> "Characters":
        """Reads what `to_bytes` gave.

        Raises:
          DataError: the file is damaged or something else.
          OSError: the file cannot be read.
        """
        try:
            form = json.loads(Path(path).read_bytes())
            found = form["characters"]
            if not (isinstance(found, list) and all(isinstance(one, str) for one in found)):
                raise ValueError("its characters are no list of strings.")
            return cls("".join(found))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{path} is no file of characters, or is damaged: {error}") from None

    def to_bytes(self) -> bytes:
        """The file that `load` reads: JSON."""
        return (json.dumps({"characters": list(self.characters)}, indent=1) + "\n").encode()

    def digest(self) -> str:
        """SHA-256 of all that decides how text becomes tokens."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """A text's numbers, without marks.

        Raises:
          DataError: it has another character.
        """
        return self.encode_array(text).tolist()

    def encode_all(self, texts: Iterable[str]) -> list[list[int]]:
        """The numbers of many texts."""
        return [self.encode(text) for text in texts]

    def encode_array(self, text: str) -> np.ndarray:
        """As `encode`, of long texts: an array of int32."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        places = np.searchsorted(self._points, points).clip(max=len(self._points) - 1)
        if (strange := self._points[places] != points).any():
            at = int(strange.argmax())
            raise DataError(
                f"character {at + 1} of the text is {text[at]!r}, which is none of the "
                f"{len(self.characters)} that the vocabulary has."
            )
        return (self._order[places] + len(MARKS)).astype(np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token numbers; stops at END, skips PAD and START.

        Raises:
          DataError: a number outside the vocabulary.
        """
        kept = []
        for token in ids:
            if token == END:
                break
            if token not in (PAD, START):
                kept.append(self._character(token))
        return "".join(kept)

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Each token for a reader: "␣" for a space, "⏎" for the end of a line."""
        shown = {" ": "␣", "\n": "⏎", "\t": "⇥"}
        names = (MARKS[t] if 0 <= t < len(MARKS) else self._character(t) for t in ids)
        return [shown.get(name, name) for name in names]

    def _character(self, token: int) -> str:
        if not len(MARKS) <= token < self.size:
            raise DataError(f"token {token} is not in the vocabulary of {self.size} tokens.")
        return self.characters[token - len(MARKS)]
