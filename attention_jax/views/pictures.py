"""The pictures of a report: each figure for light and for dark pages, with words beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attention_jax.analysis.head_counts import Comparison, Metric
from attention_jax.analysis.verdict import listed
from attention_jax.views import numbers, plots
from attention_jax.views.plots import Curves
from attention_jax.views.style import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAPS = (
    ("encoder", "source", "source", "encoder: the source looks at itself"),
    ("decoder", "target", "target", "decoder: the target looks at what came before"),
    ("cross", "target", "source", "cross: the target looks at the source"),
)


@dataclass(frozen=True)
class Picture:
    """A figure on the page: two PNG images of the same size, what they show, and what to read off.

    Attributes:
      name: file name without suffix.
      light: PNG for light pages.
      dark: PNG for dark pages.
      width: width on the page, in CSS pixels.
      height: height on the page, in CSS pixels.
      alt: what it shows, for who cannot see it.
      caption: what to read off, for everybody.
    """

    name: str
    light: bytes
    dark: bytes
    width: int
    height: int
    alt: str
    caption: str


def comparison_pictures(comparison: Comparison, curves: Curves) -> list[Picture]:
    """Learning curves, the deciding metric, its differences, and how many translations are right.

    What has no data yet has no picture.
    """
    pictures = []
    if any(points for points in curves.values()):
        ends = "; ".join(
            f"{listed([heads])} seed {seed}: {points[-1][1]:.4f} at step {points[-1][0]:,}"
            for (heads, seed), points in sorted(curves.items())
            if points
        )
        pictures.append(
            _picture(
                "learning-curves",
                lambda theme: plots.learning_curves(curves, label="validation loss", theme=theme),
                f"Learning curves; the last validation losses are: {ends}.",
                "Validation loss while training: thin lines are runs, thick ones means over seeds.",
            )
        )
    if len(comparison.rows) < 2:
        return pictures
    primary = comparison.primary
    pictures.append(_by_heads(comparison, primary, " Parallel thin lines: the seeds agree."))
    spoken = [
        f"{listed([row.heads])} {numbers.difference(found, primary)}"
        for row in comparison.rows
        if (found := row.cells[primary.name].difference) is not None
    ]
    if spoken:
        pictures.append(
            _picture(
                "differences",
                lambda theme: plots.differences(comparison, primary, theme=theme),
                f"Paired differences in {primary.label} from the best: {'; '.join(spoken)}.",
                "Paired differences from the best mean, with intervals. Hollow: zero is not "
                "excluded. Dots are seeds.",
            )
        )
    split = primary.name.rsplit("_", 1)[0]
    known = {metric.name: metric for metric in comparison.metrics if metric != primary}
    for name in (f"{split}_exact", f"{split}_bleu"):
        if name in known:
            pictures.append(_by_heads(comparison, known[name], ""))
            break
    return pictures


def attention_pictures(heads: int, found: Mapping[str, Any]) -> list[Picture]:
    """The attention maps of one head count: encoder, decoder and cross, where there."""
    pictures = []
    for kind, queries, sources, caption in MAPS:
        if found.get(kind) is None:
            continue

        def draw(theme: Theme, kind=kind, queries=queries, sources=sources) -> "Figure":
            return plots.attention_maps(
                found[kind],
                found[f"{queries}_tokens"],
                found[f"{sources}_tokens"],
                query_label=f"{queries} looks",
                source_label=f"at {sources}",
                theme=theme,
            )

        sentence = " ".join(found["source_tokens"])
        alt = f"Attention maps of {listed([heads])}, {caption}, for the sentence: {sentence}"
        pictures.append(
            _picture(f"attention-{heads}-heads-{kind}", draw, alt, f"{_capital(caption)}.")
        )
    return pictures


def _by_heads(comparison: Comparison, metric: Metric, remark: str) -> Picture:
    means = "; ".join(
        f"{listed([row.heads])} {numbers.mean(row.cells[metric.name], metric)}"
        for row in comparison.rows
    )
    return _picture(
        metric.name.replace("_", "-"),
        lambda theme: plots.metric_by_heads(comparison, metric, theme=theme),
        f"{_capital(metric.label)} by head count: {means}.",
        f"{_capital(metric.label)} by head count.{remark}",
    )


def _picture(name: str, draw: Callable[[Theme], "Figure"], alt: str, caption: str) -> Picture:
    images = {}
    size = (0.0, 0.0)
    for theme in ("light", "dark"):
        figure = draw(theme)
        size = figure.get_size_inches()
        images[theme] = plots.png(figure)
    # 96 CSS pixels are an inch.
    width, height = round(size[0] * 96), round(size[1] * 96)
    return Picture(name, images["light"], images["dark"], width, height, alt, caption)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
