"""The report folder of a comparison of head counts: a page, a table, pictures and the raw results.

    index.html      the whole report in one file that opens offline
    report.md       verdict and table in Markdown
    results.jsonl   one run a line, as recorded
    *.png           the pictures of the page

The folder appears whole or not at all: it is written beside its place and then moved there.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attention_jax.analysis.head_counts import Comparison, compare
from attention_jax.analysis.statistics import half_width
from attention_jax.analysis.verdict import listed, verdict
from attention_jax.views import numbers
from attention_jax.views.page import Page, Sample, explanation, html, main_metrics
from attention_jax.views.pictures import attention_pictures, comparison_pictures
from attention_jax.views.plots import Curves


def write_report(
    folder: str | Path,
    records: Iterable[Mapping[str, Any]],
    curves: Curves,
    attention: Mapping[int, Mapping[str, Any]],
    *,
    title: str,
    command: str,
    environment: Mapping[str, Any],
    notes: Sequence[str] = (),
    samples: Mapping[int, Sequence[Sample]] | None = None,
    expected: Iterable[tuple[int, int]] = (),
    primary: str | None = None,
) -> Path:
    """Writes a report of the runs there are, finished or not; an earlier report is replaced.

    Args:
      folder: where the report goes; must be absent, empty, or hold an earlier report alone.
      records: result records, one a finished run.
      curves: (step, validation loss) in order, by (heads, seed).
      attention: by head count, for one sentence: "source_tokens" (S), "target_tokens" (T),
        "encoder" [L, H, S, S], "decoder" [L, H, T, T] and "cross" [L, H, T, S]; kinds may lack.
      title: heading of the report.
      command: what to type to get it again.
      environment: versions, device, commit, by name.
      notes: caveats of the caller, shown with those that the records themselves suggest.
      samples: (source, reference, hypothesis) by head count.
      expected: (heads, seed) of all runs there should be; those without a record are named.
      primary: name of the deciding metric (see `analysis.head_counts.compare`).

    Returns:
      The folder.

    Raises:
      ValueError: the folder holds other things, or the records or weights do not fit.
      OSError: the folder cannot be written.
    """
    folder = Path(folder).absolute()
    _check(folder)
    records = list(records)
    comparison = compare(records, expected=expected, primary=primary)
    records.sort(key=lambda record: (record["heads"], record["seed"]))
    page = Page(
        title=title,
        comparison=comparison,
        records=records,
        command=command,
        environment=environment,
        caveats=[*_caveats(comparison, records), *notes],
        plots=comparison_pictures(comparison, curves),
        maps={
            heads: found
            for heads in attention
            if (found := attention_pictures(heads, attention[heads]))
        },
        samples=samples or {},
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as workshop:
        made = Path(workshop) / "made"
        made.mkdir()
        (made / "index.html").write_text(html(page), "utf-8")
        (made / "report.md").write_text(markdown(page), "utf-8")
        lines = [json.dumps(_finite(record), ensure_ascii=False) for record in records]
        (made / "results.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        for picture in (*page.plots, *(each for found in page.maps.values() for each in found)):
            (made / f"{picture.name}.png").write_bytes(picture.light)
        _place(made, folder, Path(workshop) / "earlier")
    return folder


def markdown(page: Page) -> str:
    """Verdict, table and caveats in Markdown, for a README or a message."""
    comparison = page.comparison
    columns = main_metrics(comparison)
    head = ["heads", "seeds", *(metric.label for metric in columns)]
    rows = []
    for row in comparison.rows:
        cells = [str(row.heads), str(len(row.seeds))]
        for metric in columns:
            cell = row.cells[metric.name]
            below = numbers.difference(cell.difference, metric)
            if cell.difference is not None and cell.difference.clear:
                below = f"**{below}**"
            cells.append(f"{numbers.mean(cell, metric)}{'<br>' if below else ''}{below}")
        rows.append(f"| {' | '.join(cells)} |")
    parts = [f"# {_plain(page.title)}", _plain(verdict(comparison))]
    if rows:
        lines = [f"| {' | '.join(map(_plain, head))} |", f"| {' | '.join('---' for _ in head)} |"]
        parts += ["\n".join([*lines, *rows]), explanation(comparison)]
    parts.append(f"Command: `{_plain(page.command).replace('`', chr(39))}`")
    if page.caveats:
        parts.append("\n".join(f"- {_plain(caveat)}" for caveat in page.caveats))
    return "\n\n".join(parts) + "\n"


def _caveats(comparison: Comparison, records: Sequence[Mapping[str, Any]]) -> list[str]:
    caveats = []
    if comparison.missing:
        runs = ", ".join(f"{listed([heads])} seed {seed}" for heads, seed in comparison.missing)
        caveats.append(f"Missing runs: {runs}.")
    for name in ("parameters", "steps"):
        values = sorted({record[name] for record in records if record.get(name) is not None})
        if len(values) > 1:
            shown = ", ".join(f"{value:,}" for value in values)
            caveats.append(f"The runs do not have equal {name} ({shown}): more than heads differs.")
    count = len(comparison.shared)
    if 2 <= count < 5:
        ratio = half_width(count, level=comparison.level, comparisons=comparison.pairs)
        ratio /= half_width(5, level=comparison.level, comparisons=comparison.pairs)
        caveats.append(
            f"{count} seeds make wide intervals; with five they would be about {ratio:.1f} times "
            "narrower at the same spread. No difference found does not mean that there is none."
        )
    if records:
        caveats.append(
            "Speed and memory are of this device and of whatever else ran on it at the time."
        )
    return caveats


def _check(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"found a file at {folder}; a folder's path would fit")
    ours = {"index.html", "report.md", "results.jsonl"}
    names = {item.name for item in folder.iterdir()}
    others = sorted(name for name in names - ours if not name.endswith(".png"))
    if names and not ours <= names:
        others = sorted(names)
    if others:
        raise ValueError(
            f"found {', '.join(others[:3])} in {folder}, which the report would replace; "
            "an empty or new folder would fit"
        )


def _place(made: Path, folder: Path, earlier: Path) -> None:
    if folder.exists():
        folder.rename(earlier)
    try:
        made.rename(folder)
    except OSError:
        if earlier.exists():
            shutil.move(earlier, folder)
        raise


def _finite(found: Any) -> Any:
    """The same for JSON: NumPy scalars as numbers, what is not finite as null."""
    if isinstance(found, Mapping):
        return {str(name): _finite(inner) for name, inner in found.items()}
    if isinstance(found, list | tuple):
        return [_finite(inner) for inner in found]
    if hasattr(found, "item"):
        return _finite(found.item())
    if isinstance(found, float) and not math.isfinite(found):
        return None
    return found if isinstance(found, str | int | float | bool | None) else str(found)


def _plain(text: str) -> str:
    """Data inside Markdown: one line, no markup, no table border."""
    spaced = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return spaced.replace("|", "\\|")
