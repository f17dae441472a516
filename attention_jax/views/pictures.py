"""The pictures of a report: each figure for light and for dark pages, with words beside it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from attention_jax.analysis.variants import Comparison, Metric
from attention_jax.views import (
    comparison_plots,
    comparison_tables,
    figure,
    head_map,
    numbers,
    pruning_plots,
)
from attention_jax.views.attention_maps import attention_maps
from attention_jax.views.comparison_plots import Curves, learning_curves
from attention_jax.views.head_words import MEASURES, Measure, counted, measures
from attention_jax.views.style import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAPS = (
    ("encoder", "source", "source", "encoder: the source looks at itself"),
    ("decoder", "target", "target", "decoder: the target looks at what came before"),
    ("cross", "target", "source", "cross: the target looks at the source"),
)

COSTS = {
    "tokens_per_second": " How fast training is.",
    "decode_tokens_per_second": " How fast decoding is.",
    "cache_bytes": " Keys and values kept while decoding.",
}


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
    """Quality against variants, its differences, speed, and learning curves.

    What has no data yet has no picture.
    """
    pictures = []
    if len(comparison.rows) > 1:
        primary = comparison.primary
        split = primary.name.rsplit("_", 1)[0]
        known = {metric.name: metric for metric in comparison.metrics if metric != primary}
        slug = slugs(metric.name for metric in comparison.metrics)  # splits are for data to name
        remark = " Parallel thin lines: the seeds agree."
        pictures.append(_by_variant(comparison, primary, slug[primary.name], remark))
        pictures += _differences(comparison)
        quality = [name for name in (f"{split}_bleu", f"{split}_exact") if name in known]
        for name in (*quality[:1], *COSTS):
            if name in known and comparison_tables.varies(comparison, known[name]):
                remark = COSTS.get(name, "")
                pictures.append(_by_variant(comparison, known[name], slug[name], remark))
    if any(points for points in curves.values()):
        ends = "; ".join(
            f"{variant} seed {seed}: {points[-1][1]:.4f} at step {points[-1][0]:,}"
            for (variant, seed), points in curves.items()
            if points
        )
        pictures.append(
            _picture(
                "learning-curves",
                lambda theme: learning_curves(curves, label="validation loss", theme=theme),
                f"Learning curves; the last validation losses are: {ends}.",
                "Validation loss while training: thin lines are runs, thick ones means over seeds.",
            )
        )
    return pictures


def attention_pictures(variant: str, slug: str, found: Mapping[str, Any]) -> list[Picture]:
    """The attention maps of one variant: encoder, decoder and cross, where there."""
    pictures = []
    for kind, queries, sources, caption in MAPS:
        if found.get(kind) is None:
            continue

        def draw(theme: Theme, kind=kind, queries=queries, sources=sources) -> "Figure":
            return attention_maps(
                found[kind],
                found[f"{queries}_tokens"],
                found[f"{sources}_tokens"],
                query_label=f"{queries} looks",
                source_label=f"at {sources}",
                theme=theme,
            )

        sentence = " ".join(found["source_tokens"])
        alt = f"Attention maps of {variant}, {caption}, for the sentence: {sentence}"
        pictures.append(_picture(f"attention-{slug}-{kind}", draw, alt, f"{_capital(caption)}."))
    return pictures


def head_pictures(
    variant: str,
    slug: str,
    description: Mapping[str, Any],
    measure: Measure | None,
) -> list[Picture]:
    """The head map of one variant, coloured by `measure`, and its statistics."""
    heads = description.get("heads") or ()
    if not heads:
        return []
    said = f"{len(heads)} heads: {counted(description)}"
    read = "" if measure is None else f" Colour and number: {measure.label} ({measure.meaning})."
    pictures = [
        _picture(
            f"head-map-{slug}",
            lambda theme: head_map.head_map(description, measure, theme=theme),
            f"Head map of {variant}, {said}.",
            f"{said}.{read}",
        )
    ]
    if shown := measures(heads, MEASURES):
        names = "; ".join(f"{one.label}: {one.meaning}" for one in shown)
        pictures.append(
            _picture(
                f"head-statistics-{slug}",
                lambda theme: head_map.head_statistics(description, theme=theme),
                f"Maps of the heads of {variant} by {', '.join(one.label for one in shown)}.",
                f"{_capital(names)}.",
            )
        )
    return pictures


def pruning_pictures(variant: str, slug: str, pruning: Mapping[str, Any]) -> list[Picture]:
    """Loss and score of one variant against the heads left, and which part keeps its heads."""
    pictures = []
    curves = pruning_plots.curves_of(pruning)
    name, factor = pruning_plots.score_of(pruning)
    kinds: tuple[tuple[Literal["loss", "score"], str, float], ...] = (
        ("loss", "loss", 1.0),
        ("score", name, factor),
    )
    for what, label, scale in kinds:
        found = {method: pruning_plots.points(points, what) for method, points in curves.items()}
        found = {method: points for method, points in found.items() if points}
        if not found:
            continue
        ends = "; ".join(
            f"{method}: {scale * points[0][1]:.4g} with {points[0][0]} heads, "
            f"{scale * points[-1][1]:.4g} with {points[-1][0]}"
            for method, points in found.items()
        )

        def draw(theme: Theme, what: Literal["loss", "score"] = what) -> "Figure":
            return pruning_plots.pruning_curves(pruning, what, theme=theme)

        pictures.append(
            _picture(
                f"pruning-{slug}-{what}",
                draw,
                f"Pruning of {variant}; {label} against the heads left: {ends}.",
                f"{_capital(label)} as heads go, a line a method. Dashed: all heads.",
            )
        )
    for method, points in curves.items():
        if any(point.get("by_part") for point in points):

            def draw_parts(theme: Theme, method=method) -> "Figure":
                return pruning_plots.parts_left(pruning, method, theme=theme)

            pictures.append(
                _picture(
                    f"pruning-{slug}-parts-{slugs([method])[method]}",
                    draw_parts,
                    f"Heads that each part of {variant} keeps as heads go by {method}.",
                    f"Where heads stay, {method.replace('_', ' ')}: above the dotted line a part "
                    "keeps more than its share.",
                )
            )
    return pictures


def slugs(variants: Iterable[str]) -> dict[str, str]:
    """A file name for each variant: letters, digits and dashes, no two alike."""
    found: dict[str, str] = {}
    for variant in variants:
        base = re.sub(r"[^a-z0-9]+", "-", variant.lower()).strip("-")[:60] or "variant"
        slug, count = base, 1
        while slug in found.values():
            count += 1
            slug = f"{base}-{count}"
        found[variant] = slug
    return found


def _differences(comparison: Comparison) -> list[Picture]:
    primary = comparison.primary
    spoken = [
        f"{row.variant} {numbers.difference(found, primary)}"
        for row in comparison.rows
        if (found := row.cells[primary.name].difference) is not None
    ]
    if not spoken:
        return []
    return [
        _picture(
            "differences",
            lambda theme: comparison_plots.differences(comparison, primary, theme=theme),
            f"Paired differences in {primary.label} from the best: {'; '.join(spoken)}.",
            "Paired differences from the best mean, with intervals. Hollow: zero is not "
            "excluded. Dots are seeds.",
        )
    ]


def _by_variant(comparison: Comparison, metric: Metric, slug: str, remark: str) -> Picture:
    means = "; ".join(
        f"{row.variant} {numbers.mean(row.cells[metric.name], metric)}" for row in comparison.rows
    )
    return _picture(
        slug,
        lambda theme: comparison_plots.metric_by_variant(comparison, metric, theme=theme),
        f"{_capital(metric.label)} by variant: {means}.",
        f"{_capital(metric.label)}.{remark}",
    )


def _picture(name: str, draw: Callable[[Theme], "Figure"], alt: str, caption: str) -> Picture:
    images = {}
    size = (0.0, 0.0)
    for theme in ("light", "dark"):
        drawn = draw(theme)
        size = drawn.get_size_inches()
        images[theme] = figure.png(drawn)
    width, height = (round(figure.CSS * inches) for inches in size)
    return Picture(name, images["light"], images["dark"], width, height, alt, caption)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
