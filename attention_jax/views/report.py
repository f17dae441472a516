"""The report folder of a comparison: a page, tables, pictures and the raw results.

    index.html      the whole report in one file that opens offline
    report.md       the same in Markdown
    results.jsonl   one run a line, as recorded
    heads.jsonl     one head a line, where heads were described
    pruning.json    what pruning left, by variant, where it was done
    *.png           the pictures of the page

The folder appears whole or not at all: it is written beside its place and then moved there.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attention_jax.analysis.variants import compare
from attention_jax.views import folder as folders
from attention_jax.views.comparison_plots import Curves
from attention_jax.views.document import html
from attention_jax.views.head_words import coloured_by
from attention_jax.views.markdown import markdown
from attention_jax.views.method import caveats
from attention_jax.views.page import Page, Sample
from attention_jax.views.pictures import (
    Picture,
    attention_pictures,
    comparison_pictures,
    head_pictures,
    pruning_pictures,
    slugs,
)

if TYPE_CHECKING:
    from attention_jax.analysis.significance import BleuTest

Descriptions = Mapping[str, Mapping[str, Any]]


def write_report(
    folder: str | Path,
    records: Iterable[Mapping[str, Any]],
    curves: Curves,
    attention: Mapping[str, Mapping[str, Any]],
    *,
    title: str,
    command: str,
    environment: Mapping[str, Any],
    notes: Sequence[str] = (),
    samples: Mapping[str, Sequence[Sample]] | None = None,
    expected: Iterable[tuple[str, int]] = (),
    primary: str | None = None,
    heads: Descriptions | None = None,
    pruning: Descriptions | None = None,
    significance: "Sequence[BleuTest] | None" = None,
) -> Path:
    """Writes a report of the runs there are, finished or not; an earlier report is replaced.

    Args:
      folder: where the report goes; must be absent, empty, or hold an earlier report alone.
      records: result records, one a finished run.
      curves: (step, validation loss) in order, by (variant, seed).
      attention: by variant, for one sentence: "source_tokens" (S), "target_tokens" (T),
        "encoder" [L, H, S, S], "decoder" [L, H, T, T] and "cross" [L, H, T, S]; kinds may lack.
      title: heading of the report.
      command: what to type to get it again.
      environment: versions, device, commit, by name.
      notes: caveats of the caller, shown with those that the records themselves suggest.
      samples: (source, reference, hypothesis) by variant.
      expected: (variant, seed) of all runs there should be, in the order of the table; those
        without a record are named.
      primary: name of the deciding metric (see `analysis.variants.compare`).
      heads: what each head does, by variant, as `analysis.heads.describe` makes it.
      pruning: what pruning leaves, by variant, as `analysis.pruning` makes it.
      significance: tests of BLEU over sentences, as `analysis.significance.paired_bleu` makes them.

    Returns:
      The folder.

    Raises:
      ValueError: the folder holds other things, or the records or weights do not fit.
      OSError: the folder cannot be written.
    """
    folder = Path(folder).absolute()
    folders.check(folder)
    found = list(records)
    comparison = compare(found, expected=expected, primary=primary)
    order = [row.variant for row in comparison.rows]
    found.sort(key=lambda record: (order.index(record["variant"]), record["seed"]))
    heads, pruning = _kept(heads), _kept(pruning)
    slug = slugs(dict.fromkeys((*order, *attention, *heads, *pruning)))
    page = Page(
        title=title,
        comparison=comparison,
        records=found,
        command=command,
        environment=environment,
        caveats=[*caveats(comparison, found), *notes],
        plots=comparison_pictures(comparison, _ordered(curves, order)),
        maps=_pictured(attention, lambda v, one: attention_pictures(v, slug[v], one)),
        samples=samples or {},
        significance=tuple(significance or ()),
        heads=heads,
        head_pictures=_head_pictures(heads, slug),
        pruning=pruning,
        pruning_pictures=_pictured(pruning, lambda v, one: pruning_pictures(v, slug[v], one)),
    )

    def fill(made: Path) -> None:
        folders.page(made / "index.html", html(page))
        folders.page(made / "report.md", markdown(page))
        folders.json_lines(made / "results.jsonl", found)
        if heads:
            lines = (
                {"variant": variant, "name": one.get("name"), **head}
                for variant, one in page.ordered(heads)
                for head in one.get("heads") or ()
            )
            folders.json_lines(made / "heads.jsonl", lines)
        if pruning:
            text = folders.to_json(pruning, indent=2)
            (made / "pruning.json").write_text(f"{text}\n", "utf-8")
        for picture in page.pictures():
            (made / f"{picture.name}.png").write_bytes(picture.light)

    folders.replace(folder, fill)
    return folder


def _kept(found: Descriptions | None) -> dict[str, Mapping[str, Any]]:
    """Numbers in them may be of NumPy or not finite; from here on neither is."""
    return {variant: folders.finite(one) for variant, one in (found or {}).items() if one}


def _ordered(curves: Curves, order: Sequence[str]) -> dict[tuple[str, int], Any]:
    variants = list(dict.fromkeys((*order, *(variant for variant, _ in curves))))
    return dict(sorted(curves.items(), key=lambda one: (variants.index(one[0][0]), one[0][1])))


def _pictured(found: Mapping[str, Any], draw) -> dict[str, list[Picture]]:
    every = {variant: draw(variant, one) for variant, one in found.items()}
    return {variant: pictures for variant, pictures in every.items() if pictures}


def _head_pictures(heads: Descriptions, slug: Mapping[str, str]) -> dict[str, list[Picture]]:
    """Head maps of all variants, each with a scale of its own.

    On a common scale few heads, each of which carries much, would leave the maps of many blank.
    """
    return _pictured(heads, lambda v, one: head_pictures(v, slug[v], one, coloured_by([one])))
