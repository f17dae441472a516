"""Tokens that mean something: where a text begins and ends, and what fills a row up."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from attention_jax.interop.fields import Field, whole


class Marks(NamedTuple):
    """The tokens that a folder's config.json names.

    Attributes:
      start: what a decoder is given first; None where a text simply goes on.
      ends: each of which ends a text.
      last: what stands at the last place of a text that did not end; None: whatever is likeliest.
      never: tokens that are not to be written.
    """

    start: int | None = None
    ends: tuple[int, ...] = ()
    last: int | None = None
    never: tuple[int, ...] = ()


_NAMES = {"start": "decoder_start_token_id", "ends": "eos_token_id", "last": "forced_eos_token_id"}


def marks_of(form: Mapping[str, Any]) -> Marks:
    """The marks that a config.json, or a generation_config.json, names.

    Raises:
      ValueError: one is no token.
    """
    start, ends, last = (form.get(name) for name in _NAMES.values())
    start = None if start is None else whole(_NAMES["start"], start)
    last = None if last is None else whole(_NAMES["last"], last)
    ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
    never = form.get("bad_words_ids")
    never = [] if never is None else never
    single = isinstance(never, list) and all(isinstance(one, list) for one in never)
    if not single or len(ends) > 1_000 or len(never) > 1_000:
        raise ValueError(
            f"bad_words_ids is {never!r:.60}; a list of lists, at most 1,000 of them, would fit"
        )
    return Marks(
        start,
        tuple(whole(_NAMES["ends"], one) for one in ends),
        last,
        tuple(whole("bad_words_ids", one[0]) for one in never if len(one) == 1),
    )


def marked(marks: Marks) -> dict[str, Any]:
    """What a config.json says of marks."""
    form: dict[str, Any] = {}
    if marks.start is not None:
        form["decoder_start_token_id"] = marks.start
    if marks.ends:
        form["eos_token_id"] = marks.ends[0] if len(marks.ends) == 1 else list(marks.ends)
    if marks.last is not None:
        form["forced_eos_token_id"] = marks.last
    if marks.never:
        form["bad_words_ids"] = [[token] for token in marks.never]
    return form


def _padding(form: Mapping[str, Any]) -> int:
    """The token that fills up the rows of a language model, if it is one that texts never hold.

    Many fill them up with the mark of a text's end, and tell by a mask what is real: then no token
    is padding, -1.
    """
    found = form.get("pad_token_id")
    if found is None or found == -1:  # which some early folders say
        return -1
    ends = form.get("eos_token_id")
    held = [form.get("bos_token_id"), *(ends if isinstance(ends, list) else [ends])]
    return -1 if whole("pad_token_id", found) in held else found


padding = Field(
    "pad_token_id", _padding, lambda value: {"pad_token_id": None if value < 0 else value}
)
"""The token that is never seen, of a language model."""
