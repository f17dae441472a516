"""The head view: who looks where in a model, as one HTML file that needs nothing else.

    aj.head_view(weights, tokens).save("attention.html")

The page holds its style, its script and its numbers. A content policy inside lets nothing else run
and nothing be fetched; all that comes from data reaches the page as text.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from attention_jax.training.log import replace_file
from attention_jax.views.head_view_data import page_data
from attention_jax.views.readings import Attention, Reading

SCRIPTS = (
    "data", "state", "elements", "colours", "lists", "lines", "heat", "heads", "row", "vectors",
    "beams", "controls", "facts", "keys", "main",
)  # fmt: skip


@dataclass(frozen=True)
class HeadView:
    """A page that shows attention; in a notebook it shows itself.

    Attributes:
      html: the whole page.
      height: of the frame in a notebook, in pixels.
    """

    html: str = field(repr=False)
    height: int = 760

    def save(self, path: str | Path) -> Path:
        """Writes the page, whole or not at all.

        Args:
          path: of the file; what is there is replaced.

        Returns:
          The path.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, self.html.encode())
        return path

    def _repr_html_(self) -> str:
        # A frame of its own, of no origin: several views, and the notebook, leave each other alone.
        return (
            f'<iframe title="Attention" sandbox="allow-scripts" loading="lazy" '
            f'style="width: 100%; height: {self.height}px; border: 0; border-radius: 8px" '
            f'srcdoc="{escape(self.html)}"></iframe>'
        )


def head_view(
    what: "Reading | Sequence[Reading] | Any",
    queries: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    *,
    title: str = "Attention",
    attention: str | None = None,
    layer: int = 0,
    head: int | None = 0,
    query: int = 0,
    beside: int | None = None,
    megabytes: float = 8.0,
    height: int = 760,
) -> HeadView:
    """A page to look at attention with: lines from token to token, every head, exact numbers.

    Several readings of one model at several moments get a slider, those of several models are
    compared side by side, those of several hypotheses are for choice (see `Reading`). Where long
    inputs have more weights than fit, each row keeps its strongest and says how much they make up.

    Args:
      what: a reading, several, or weights [L, H, T, S] (or one layer of them, or one head) of any
        model, or a sequence of layers [H, T, S] of different numbers of heads.
      queries: the T tokens that look; with weights only.
      sources: the S tokens that are looked at; None for the same.
      title: heading of the page.
      attention: the kind that is shown first, such as "cross"; None for the first there is.
      layer: shown first, from 0.
      head: shown first, from 0; None for the mean of all.
      query: the token that is in focus first, from 0.
      beside: which of the readings stands beside the first one first, from 1; None for none.
      megabytes: how much the numbers may take in the page.
      height: of the frame in a notebook, in pixels.

    Returns:
      The page; `save` writes it.

    Raises:
      ValueError: tokens lack, or come with readings, or do not fit the weights; what is to be shown
        first is not there; or not even the strongest weight of every row has room.

    Source: Vig 2019, "A Multiscale Visualization of Attention in the Transformer Model" (one head,
    all heads, one head from inside).
    """
    readings = _readings(what, queries, sources)
    start = _start(readings[0], attention, layer, head, query)
    if beside is not None and not 1 <= beside < len(readings):
        raise ValueError(
            f"found beside={beside} and {len(readings)} readings; None, or from 1 to the last, "
            "would fit"
        )
    start["other"] = beside
    return HeadView(_page(page_data(readings, str(title), start, megabytes)), height)


def _readings(what: Any, queries: Any, sources: Any) -> list[Reading]:
    found = [what] if isinstance(what, Reading) else what
    if isinstance(found, list | tuple) and found and isinstance(found[0], Reading):
        if queries is not None or sources is not None:
            raise ValueError("found tokens beside readings, which have their own; none would fit")
        return list(found)
    if queries is None:
        raise ValueError("found weights without tokens; queries=[...], a string each, would fit")
    layers = found
    if not isinstance(found, list | tuple):
        layers = np.asarray(found)
        if not 2 <= layers.ndim <= 4:
            raise ValueError(
                f"found weights of shape {layers.shape}; [layers, heads, queries, sources] would "
                "fit; of a batch, one input"
            )
        layers = layers.reshape((1,) * (4 - layers.ndim) + layers.shape)
    seen = queries if sources is None else sources
    return [Reading((Attention("attention", tuple(layers), tuple(queries), tuple(seen)),))]


def _start(
    reading: Reading, name: str | None, layer: int, head: int | None, query: int
) -> dict[str, Any]:
    """Where the page opens."""
    known = {one.name: one for one in reading.attentions}
    name = reading.attentions[0].name if name is None else name
    if name not in known:
        raise ValueError(f"found attention={name!r}; {', '.join(map(repr, known))} would fit")
    one = known[name]
    _within("layer", layer, len(one.weights))
    if head is not None and len(one.weights[layer]):
        _within("head", head, len(one.weights[layer]))
    _within("query", query, len(one.queries))
    return {"kind": name, "layer": layer, "head": -1 if head is None else head, "query": query}


def _within(what: str, found: int, count: int) -> None:
    if not 0 <= found < count:
        raise ValueError(f"found {what}={found}; 0 to {count - 1} would fit")


def _page(data: str) -> str:
    """The parts in one page. Browsers use the script and the style whose digests the page names."""
    style = _part("view.css")
    script = "".join(_part(f"{name}.js") for name in SCRIPTS)
    script = f'(() => {{\n"use strict";\n{script}}})();\n'
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    page = _part("view.html")
    # Data last: what stands in them is not looked at again.
    for place, part in (("policy", policy), ("style", style), ("script", script), ("data", data)):
        page = page.replace(f"%{place}%", part, 1)
    return page


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _part(name: str) -> str:
    folder = resources.files("attention_jax.views").joinpath("head_view_page")
    return folder.joinpath(name).read_text("utf-8")
