"""The two-column form of tagged text: a word and its tag a line, an empty line after a sentence.

    Tarvo   B-PER
    lives   O

The form of the CoNLL shared tasks (Tjong Kim Sang and De Meulder 2003). More columns may stand
between the word and the tag; they are not read. An I- that goes on with nothing begins a name, as
in older files, where B- stands only between two names of a kind.
"""

from pathlib import Path

from attention_jax.data.entities import Tagged
from attention_jax.data.lines import DataError, Quarantined, scan


def read_conll(path: Path) -> list[Tagged]:
    """The sentences of a file, plain or .gz.

    Raises:
      DataError: a line is no text or has one column, a tag is none of O, B-... and I-..., or there
        is no sentence; the message names file and line.
    """
    found: list[Tagged] = []
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*scan(path), ""], start=1):
        if isinstance(line, Quarantined):
            raise DataError(str(line))
        columns = line.split()
        if not columns or columns[0] == "-DOCSTART-":
            if words:
                found.append(Tagged(tuple(words), tuple(_opened(tags))))
            words, tags = [], []
            continue
        if len(columns) < 2:
            raise DataError(
                f"{path}, line {number}: {line.strip()!r} is one column; word and tag fit"
            )
        if columns[-1] != "O" and columns[-1][:2] not in ("B-", "I-"):
            raise DataError(
                f"{path}, line {number}: the tag is {columns[-1]!r}; O, B-PER or I-PER would fit"
            )
        words.append(columns[0])
        tags.append(columns[-1])
    if not found:
        raise DataError(f"{path} is empty; lines of a word and its tag would fit")
    return found


def spans(tags: list[str] | tuple[str, ...]) -> set[tuple[int, int, str]]:
    """Where names stand: (first word, word behind the last, kind)."""
    found, start = set(), 0
    closed = [*_opened(list(tags)), "O"]
    for at in range(1, len(closed)):
        if closed[at][0] != "I" and closed[at - 1] != "O":
            found.add((start, at, closed[start][2:]))
        if closed[at][0] == "B":
            start = at
    return found


def _opened(tags: list[str]) -> list[str]:
    """The tags with a B- wherever a name begins."""
    found: list[str] = []
    for tag in tags:
        goes_on = found and found[-1][1:] == tag[1:] and found[-1] != "O"
        found.append(f"B{tag[1:]}" if tag[0] == "I" and not goes_on else tag)
    return found
