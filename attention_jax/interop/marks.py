"""Tokens that mean something: where a text begins and ends, and what fills a row up."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from attention_jax.interop.fields import Field, whole


class Marks(NamedTuple):
    """The tokens that a folder's config.json names.

    Attributes:
      begin: what stands in front of a text, where a tokenizer puts it there.
      start: what a decoder behind an encoder is given first.
      ends: each of which ends a text.
      last: what stands at the last place of a text that did not end; None: whatever is likeliest.
      never: tokens that are not to be written.
    """

    begin: int | None = None
    start: int | None = None
    ends: tuple[int, ...] = ()
    last: int | None = None
    never: tuple[int, ...] = ()


_SINGLE = {
    "begin": "bos_token_id",
    "start": "decoder_start_token_id",
    "last": "forced_eos_token_id",
}
_MOST = 1_000
"""marks of one kind"""


def marks_of(form: Mapping[str, Any]) -> Marks:
    """The marks that a config.json, or a generation_config.json, names.

    Raises:
      ValueError: one is no token.
    """
    single = {
        ours: None if form.get(name) is None else whole(name, form[name])
        for ours, name in _SINGLE.items()
    }
    ends = form.get("eos_token_id")
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    never = form.get("bad_words_ids") or []
    if not isinstance(never, list) or not all(isinstance(one, list) for one in never):
        raise ValueError(f"bad_words_ids is {never!r:.60}; a list of lists would fit")
    if max(len(ends), len(never)) > _MOST:
        raise ValueError(
            f"eos_token_id has {len(ends)} tokens and bad_words_ids {len(never)}; {_MOST:,} of "
            "each would fit"
        )
    return Marks(
        **single,
        ends=tuple(whole("eos_token_id", one) for one in ends),
        never=tuple(whole("bad_words_ids", one[0]) for one in never if len(one) == 1),
    )


def marked(marks: Marks) -> dict[str, Any]:
    """What a config.json says of marks."""
    ends = None if not marks.ends else marks.ends[0] if len(marks.ends) == 1 else list(marks.ends)
    form: dict[str, Any] = {"bos_token_id": marks.begin, "eos_token_id": ends}
    form |= {_SINGLE[name]: getattr(marks, name) for name in ("start", "last")}
    return form | ({"bad_words_ids": [[token] for token in marks.never]} if marks.never else {})


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
    "pad_token_id", _padding, lambda value, config: {"pad_token_id": None if value < 0 else value}
)
"""The token that is never seen, of a language model."""
