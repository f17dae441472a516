"""Tokenizers of others: read from tokenizer.json, and their tokens shown to a reader."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_METASPACE = "▁"


def read_tokenizer(path: Path, vocabulary: int) -> "Tokenizer":
    """The tokenizer of a tokenizer.json; it shall neither pad nor cut.

    Args:
      path: of the file.
      vocabulary: how many tokens the model knows.

    Raises:
      ValueError: it is no tokenizer, or has tokens that the model does not know.
    """
    from tokenizers import Tokenizer

    try:
        engine = Tokenizer.from_str(path.read_bytes().decode("utf-8"))
    # The engine raises bare Exception for a form that it does not know.
    except Exception as error:
        raise ValueError(f"{path} is no tokenizer.json, or is damaged: {error!s:.300}") from None
    engine.no_padding()
    engine.no_truncation()
    try:  # the marks around texts have numbers of their own, and may fail only in use
        around = encode(engine, ["", ("", "")])
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    marks = (token for one in around for token in one.ids)
    highest = max((*engine.get_vocab().values(), *marks), default=-1)
    if not 0 <= highest < vocabulary:
        raise ValueError(
            f"{path} has tokens up to {highest}; below {vocabulary} would fit, as config.json says"
        )
    return engine


def needed(engine: "Tokenizer | None") -> "Tokenizer":
    """The tokenizer, where one was read.

    Raises:
      ValueError: there is none.
    """
    if engine is None:
        raise ValueError("the model was read without its tokenizer, so it takes tokens, not texts")
    return engine


def encode(engine: "Tokenizer", texts: Sequence[str | tuple[str, str]]) -> list["Encoding"]:
    """The tokens of texts, or of pairs of them.

    Raises:
      ValueError: the tokenizer cannot do it, as where it has no token for what it does not know.
    """
    try:
        return engine.encode_batch(texts)
    # The engine raises bare Exception, and, where it fails itself, what is none.
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the tokenizer cannot encode: {error!s:.300}") from None


def encoded(engine: "Tokenizer | None", texts: Sequence[str], padding: int) -> list[list[int]]:
    """The tokens of each text, marks included.

    Raises:
      ValueError: there is no tokenizer or no text, one is empty, is no valid Unicode or has the
        token of padding in it.
    """
    if isinstance(texts, str) or not texts:
        raise ValueError("found one string, or no text; a list of strings would fit")
    for text in texts:
        check_text(text)
    found = encode(needed(engine), list(texts))
    for text, one in zip(texts, found, strict=True):
        if not one.ids:
            raise ValueError(f"{text!r:.60} has no token; a text would fit")
        if padding in one.ids:
            place = one.tokens[one.ids.index(padding)]
            raise ValueError(f"a text has {place!r} in it, which is never seen: it is padding")
    return [one.ids for one in found]


def check_text(text: str) -> None:
    """Refuses what is no text.

    Raises:
      ValueError: it is no string, or has half a character in it.
    """
    if not isinstance(text, str):
        raise ValueError(f"found {type(text).__name__} where a text would fit")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"a text has a lone surrogate (U+{ord(text[error.start]):04X}) at character "
            f"{error.start + 1}: half a character; valid Unicode would fit"
        ) from None


def shown(engine: "Tokenizer", ids: Sequence[int]) -> list[str]:
    """Each token for a reader, one "·" in front where it carries on a word.

    How a token says so depends on the kind of tokenizer: "##ing" (WordPiece) carries on; " the",
    written "Ġthe" (bytes) or "▁the" (SentencePiece), begins anew.

    Raises:
      ValueError: a number is no token's.
    """
    from tokenizers import decoders, models

    model, space = engine.model, _METASPACE
    bytewise = decoders.ByteLevel() if isinstance(engine.decoder, decoders.ByteLevel) else None
    added = engine.get_added_tokens_decoder()
    names, inside = [], False
    for token in map(int, ids):
        piece = engine.id_to_token(token) if token >= 0 else None
        if piece is None:
            raise ValueError(f"{token} is no token of the tokenizer")
        if token in added and added[token].special:
            names.append(piece)
            inside = False
            continue
        if bytewise is not None:
            piece, space = bytewise.decode([piece]), " "
        if isinstance(model, models.WordPiece):
            text = piece.removeprefix(model.continuing_subword_prefix)
            goes_on = text != piece
        else:  # no space in front: it goes on, unless it is a sign, or there is no word yet
            text = piece.removeprefix(space) or "␣"
            goes_on = inside and text == piece and text[0].isalnum()
        names.append(f"·{text}" if goes_on else text)
        inside = text != "␣"
    return names
