"""Sub-words: one byte-level BPE for both languages.

Source: Sennrich et al. 2016 (https://arxiv.org/abs/1508.07909), over bytes as in Radford et al.
2019. The merging itself is Hugging Face's `tokenizers`; here stand the marks, the exact round trip
and the checks.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attention_jax.data.lines import DataError

if TYPE_CHECKING:
    import tokenizers

PAD, START, END = 0, 1, 2

MARKS = ("<pad>", "<start>", "<end>")
"""How the marks print. Text never becomes one: letters and brackets never merge into one piece."""

SMALLEST = len(MARKS) + 256
"""The smallest vocabulary: the marks and every byte."""


class Tokenizer:
    """Text to token numbers and back, exactly: `decode(encode(text)) == text` for any valid text.

    A word carries the space before it, and every text is taken with one space before it, so that a
    word is the same token at the start of a sentence and inside it.
    """

    def __init__(self, engine: "tokenizers.Tokenizer"):
        self._engine = engine
        self.size: int = engine.get_vocab_size()
        self._bytes = _piece_bytes(engine)

    @classmethod
    def train(cls, texts: Iterable[str], size: int) -> "Tokenizer":
        """Learns a vocabulary of at most `size` tokens; the same texts give the same tokens.

        Args:
          texts: the training text of both languages.
          size: the largest vocabulary; small text may give less.

        Raises:
          DataError: `size` is below `SMALLEST`, there is no text, or a text is not valid Unicode.
        """
        from tokenizers import Tokenizer as Engine
        from tokenizers import models, pre_tokenizers, trainers

        if size < SMALLEST:
            raise DataError(
                f"a vocabulary of {size} is too small for the {len(MARKS)} marks and 256 bytes; "
                f"at least {SMALLEST} would fit."
            )
        engine = Engine(models.BPE())
        _dress(engine)
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=2,
            show_progress=False,
            special_tokens=list(MARKS),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        )
        counted = _Counted(texts)
        engine.train_from_iterator(iter(counted), trainer)
        if not counted.characters:
            raise DataError("there is no text to learn a vocabulary from.")
        # The trainer also makes the marks find themselves in text, where "<end>" is just five
        # characters. Only vocabulary and merges are kept.
        form = json.loads(engine.to_str())
        form["added_tokens"] = []
        return cls(Engine.from_str(json.dumps(form)))

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Reads what `save` wrote.

        Raises:
          DataError: the file is damaged or not such a tokenizer.
          OSError: the file cannot be read.
        """
        from tokenizers import Tokenizer as Engine

        raw = Path(path).read_bytes()
        try:
            form = json.loads(raw)
            _check(form)
            engine = Engine.from_str(raw.decode())
        # The engine raises bare Exception for a form that it does not know.
        except Exception as error:
            raise DataError(
                f"{path} is not a tokenizer.json of this package, or is damaged: {error}"
            ) from None
        return cls(engine)

    def save(self, path: str | Path) -> None:
        """Writes the tokenizer as one JSON file, whole or not at all."""
        path = Path(path)
        draft = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            draft.write_bytes(self.to_bytes())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def to_bytes(self) -> bytes:
        """The file that `save` writes."""
        return self._engine.to_str(pretty=True).encode()

    def digest(self) -> str:
        """SHA-256 of all that decides how text becomes tokens."""
        return hashlib.sha256(self._engine.to_str().encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text, without marks.

        Raises:
          DataError: the text has a lone surrogate.
        """
        _check_text(text, "the text")
        return self._engine.encode(text, add_special_tokens=False).ids

    def encode_all(self, texts: Iterable[str]) -> list[list[int]]:
        """Token numbers of many texts, much faster than one by one."""
        ids: list[list[int]] = []
        for block in _blocks(texts, 8_192):
            for number, text in enumerate(block, start=len(ids) + 1):
                _check_text(text, f"text {number}")
            found = self._engine.encode_batch_fast(block, add_special_tokens=False)
            ids.extend(encoding.ids for encoding in found)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token numbers; stops at END, skips PAD and START.

        Bytes that do not make a character (a model may write such) become U+FFFD.

        Raises:
          DataError: a number outside the vocabulary.
        """
        kept = []
        for token in ids:
            if token == END:
                break
            kept.append(self._piece(token))
        return b"".join(kept).decode("utf-8", errors="replace").removeprefix(" ")

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Each token for a reader: "The", "·ing" where it carries on a word, "␣" for a space."""
        names = []
        for token in ids:
            raw = self._piece(token)
            if not raw:
                names.append(MARKS[token])
                continue
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                names.append(raw.hex(" "))  # a part of a character
                continue
            shown = text.removeprefix(" ") or "␣"
            names.append(f"·{shown}" if text == shown and shown[0].isalnum() else shown)
        return names

    def names(self) -> list[str]:
        """Each token's name in tokenizer.json, by number: "Ġthe" for " the"; no two are alike."""
        vocabulary = self._engine.get_vocab()
        return sorted(vocabulary, key=vocabulary.__getitem__)

    def _piece(self, token: int) -> bytes:
        if not 0 <= token < self.size:
            raise DataError(f"token {token} is not in the vocabulary of {self.size} tokens.")
        return self._bytes[token]


def _dress(engine: "tokenizers.Tokenizer") -> None:
    """Gives the engine its one space before the text and its byte-level words."""
    from tokenizers import decoders, normalizers, pre_tokenizers

    engine.normalizer = normalizers.Prepend(" ")
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    engine.decoder = decoders.ByteLevel()


def _check(form: Any) -> None:
    """Refuses a tokenizer.json that would load but mean something else."""
    vocabulary = form["model"]["vocab"]
    if form["model"]["type"] != "BPE" or form["pre_tokenizer"]["type"] != "ByteLevel":
        raise ValueError("it is not a byte-level BPE.")
    if form["normalizer"] != {"type": "Prepend", "prepend": " "} or form["added_tokens"]:
        raise ValueError("it treats spaces or marks otherwise.")
    if [vocabulary.get(mark) for mark in MARKS] != [PAD, START, END]:
        raise ValueError(f"{', '.join(MARKS)} are not tokens 0, 1 and 2.")
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise ValueError("its token numbers have gaps.")
    if missing := [letter for letter in _alphabet() if letter not in vocabulary]:
        raise ValueError(f"{len(missing)} of the 256 bytes are missing.")


def _alphabet() -> dict[str, int]:
    """The letter that stands for each byte in a byte-level vocabulary, and its byte.

    Printable bytes stand for themselves and the others for letters from U+0100 on (Radford et al.
    2019, `bytes_to_unicode`).
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(0x100 + place): byte for place, byte in enumerate(others)
    }


def _piece_bytes(engine: "tokenizers.Tokenizer") -> list[bytes]:
    """The bytes of every token; none for the marks."""
    alphabet = _alphabet()
    pieces = [b""] * engine.get_vocab_size()
    for piece, token in engine.get_vocab().items():
        if token >= len(MARKS):
            pieces[token] = bytes(alphabet[letter] for letter in piece)
    return pieces


class _Counted:
    """Texts on their way to the trainer, checked and counted."""

    def __init__(self, texts: Iterable[str]):
        self.texts = texts
        self.characters = 0

    def __iter__(self) -> Iterator[str]:
        for number, text in enumerate(self.texts, start=1):
            _check_text(text, f"text {number}")
            self.characters += len(text)
            yield text


def _check_text(text: str, name: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name} has a lone surrogate (U+{ord(text[error.start]):04X}) at character "
            f"{error.start + 1}: half a character. Valid Unicode text would fit."
        ) from None


def _blocks(texts: Iterable[str], size: int) -> Iterator[Sequence[str]]:
    block: list[str] = []
    for text in texts:
        block.append(text)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block
