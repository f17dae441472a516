"""A table of the report, said once and written twice: as HTML and as Markdown.

Cells hold plain text; escaping happens here, and only here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Text:
    """One cell.

    Attributes:
      text: what it says.
      below: a second line, smaller.
      look: of the second line: "" or classes of the style sheet, such as "clear better".
      tag: a word set apart behind the text, such as "best mean".
      bar: how much of the cell a bar fills, from 0 to 1.
    """

    text: str
    below: str = ""
    look: str = ""
    tag: str = ""
    bar: float | None = None


@dataclass(frozen=True)
class Table:
    """Rows of cells under headings; the first cell of a row names it.

    Attributes:
      label: what the table holds, for who cannot see it.
      columns: headings.
      rows: cells, as many as there are headings.
      marked: places of the rows that stand out.
    """

    label: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Text | str]]
    marked: frozenset[int] = frozenset()


def html_table(table: Table) -> str:
    """The table in a box that scrolls by itself."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    body = []
    for place, row in enumerate(table.rows):
        cells = [_html_cell(_cell(one), first=not column) for column, one in enumerate(row)]
        kind = " class=best" if place in table.marked else ""
        body.append(f"<tr{kind}>{''.join(cells)}</tr>\n")
    # Reachable by keyboard, or its right end is not.
    return (
        f'<div class="scroll" role="region" aria-label="{escape(table.label)}" tabindex="0">'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(body)}</tbody>\n</table>"
        "</div>\n"
    )


def markdown_table(table: Table) -> str:
    """The table in Markdown; what is clear in HTML is bold here."""
    lines = [
        f"| {' | '.join(map(plain, table.columns))} |",
        f"| {' | '.join('---' for _ in table.columns)} |",
    ]
    lines += [f"| {' | '.join(_markdown_cell(_cell(one)) for one in row)} |" for row in table.rows]
    return "\n".join(lines)


def plain(text: str) -> str:
    """Data inside Markdown: one line, no markup, no table border, no link, no block of its own.

    Emphasis is left in: the names of fields would be hard to read without their underscores.
    """
    spaced = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    spaced = re.sub(r"[\\|`]|(?<=\])[(\[:]", r"\\\g<0>", spaced)
    return _BLOCK.sub(r"\1\\\2", spaced)


_BLOCK = re.compile(r"^(\d*)([#>~=]|[-+*_](?=[-+*_\s]|$)|(?<=\d)[.)](?=\s|$))")
"""what makes the beginning of a line a heading, a quotation, a list, a rule or a fence"""


def _cell(found: Text | str) -> Text:
    return Text(found) if isinstance(found, str) else found


def _html_cell(cell: Text, *, first: bool) -> str:
    text = escape(cell.text)
    if cell.tag:
        text += f' <span class="tag">{escape(cell.tag)}</span>'
    if cell.below:
        looks = f"difference {cell.look}".strip()
        below = escape(cell.below).replace(" [", "<br>[", 1).replace(" (", "<br>(", 1)
        text += f'<span class="{escape(looks)}">{below}</span>'
    if first:
        return f'<th scope="row">{text}</th>'
    if cell.bar is None:
        return f"<td>{text}</td>"
    return f'<td class="bar" style="--part:{min(max(cell.bar, 0.0), 1.0):.1%}">{text}</td>'


def _markdown_cell(cell: Text) -> str:
    text = plain(cell.text)
    if cell.tag:
        text += f" ({plain(cell.tag)})"
    if cell.below:
        below = plain(cell.below)
        text += f"<br>{f'**{below}**' if 'clear' in cell.look else below}"
    return text
