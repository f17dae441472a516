"""Where a Vision Transformer looks: its weights as readings, and as maps over the picture."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, UInt8

from attention_jax.analysis.rollout import rollout
from attention_jax.data.images import PictureSet, as_floats, load_pictures
from attention_jax.models.vision import VisionConfig
from attention_jax.tasks.run import Loaded
from attention_jax.training.step import split
from attention_jax.views.figure import blank, finished
from attention_jax.views.gather import look
from attention_jax.views.readings import Attention, Reading
from attention_jax.views.style import INK, SHADE, WARM, Theme, known, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = UInt8[np.ndarray, "height width channels"]


def readings(loaded: Loaded, words: Sequence[str]) -> list[Reading]:
    """What the model of a run looks at in pictures of the test split.

    Args:
      loaded: the run.
      words: numbers of test pictures, from 0; none for the first picture.

    Raises:
      ValueError: a word is no such number.
    """
    found = load_pictures(loaded.task.data)
    return [_reading(loaded, found, place) for place in _places(words, found)]


def attention_over_picture(
    picture: Picture,
    weights: Float[Any, "L H T T"],
    *,
    query: int | None = 0,
    title: str = "",
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """Where the heads look, over the picture: a row a layer, a column a head; last the rollout.

    Every map has its own scale, from nothing to its largest share, which stands below it. The
    picture is drawn over the map in one colour, the stronger the lighter it is.

    Args:
      picture: what was read.
      weights: of its attentions; one row for each patch, and before them one for the class token if
        there is one.
      query: the row that looks, 0 for a class token; None: the mean over all rows.
      title: above all.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: the rows are no grid of patches over this picture, or there is no such query.
    """
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    array = np.asarray(weights, np.float64)
    if array.ndim != 4 or array.shape[-1] != array.shape[-2] or not array.size:
        raise ValueError(f"weights have shape {list(array.shape)}; [L, H, T, T] would fit")
    layers, heads, rows, _ = array.shape
    down, across = _grid(picture.shape, rows)
    if query is not None and not 0 <= query < rows:
        raise ValueError(f"query is {query}; a row from 0 to {rows - 1}, or None, would fit")
    looks = np.concatenate([array, rollout(list(array))[:, None]], 1)
    looks = looks.mean(-2) if query is None else looks[..., query, :]
    maps = looks[..., rows - down * across :].reshape(layers, heads + 1, down, across)
    colours = LinearSegmentedColormap.from_list("shares", SHADE[known(theme)])
    height, width = picture.shape[:2]
    lines = np.empty((height, width, 4))
    lines[..., :3] = to_rgb(WARM[theme])
    lines[..., 3] = 0.8 * picture.mean(-1) / 255
    with styled(theme):
        figure = blank(1.05 * (heads + 1) + 0.5, 1.25 * layers + 0.6, layout="constrained")
        panels: Any = figure.subplots(layers, heads + 1, squeeze=False)
        box = (-0.5, width - 0.5, height - 0.5, -0.5)
        for layer, head in np.ndindex(layers, heads + 1):
            axes, found = panels[layer, head], maps[layer, head]
            axes.imshow(found, colours, vmin=0, vmax=max(found.max(), 1e-9), extent=box)
            axes.imshow(lines, extent=box)
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(f"up to {found.max():.0%}", fontsize=8, color=INK[theme], labelpad=2)
            if not layer:
                axes.set_title("rollout" if head == heads else f"head {head + 1}", fontsize=9)
            if not head:
                axes.set_ylabel(f"layer {layer + 1}", fontsize=9)
        if title:
            figure.suptitle(title, fontsize=11)
    return finished(figure, file)


def patch_names(config: VisionConfig) -> list[str]:
    """What the rows of a model are called: the class token, then patches by row and column."""
    down, across = config.grid
    names = [f"row {r + 1}, column {c + 1}" for r in range(down) for c in range(across)]
    return ["class token"] * (config.summary == "class_token") + names


def _reading(loaded: Loaded, found: PictureSet, place: int) -> Reading:
    images, labels = found.splits["test"]
    said, seen = jax.device_get(_seen(*split(loaded.model), as_floats(images[place : place + 1])))
    layers = [seen[where] for where in sorted(seen)]
    names = patch_names(loaded.task.model)
    attention = Attention(
        "encoder",
        [layer.weights[0] for layer in layers],
        names,
        names,
        query_vectors=[np.swapaxes(layer.query[0], 0, 1) for layer in layers],
        key_vectors=[np.swapaxes(layer.key[0], 0, 1) for layer in layers],
    )
    shows = found.classes[labels[place]]
    return Reading(
        (attention,),
        model=loaded.task.name,
        input=f"test picture {place} of {Path(found.name).name}, which shows {shows}",
        output=_class(found, int(said[0])),
    )


@functools.partial(jax.jit, static_argnums=0)
def _seen(graph: nnx.GraphDef, params: Any, pictures: Any) -> Any:
    """The class that a model gives each picture, and what its attentions do."""
    model: Any = nnx.merge(graph, params)
    return model(pictures).argmax(-1), look(functools.partial(model, pictures))


def _class(found: PictureSet, label: int) -> str:
    """A class's name; a model may have more of them than the pictures."""
    return found.classes[label] if label < len(found.classes) else f"class {label}"


def _places(words: Sequence[str], found: PictureSet) -> list[int]:
    """The numbers of test pictures that the words are."""
    count = len(found.splits["test"].labels)
    for word in words:
        if not (word.isascii() and word.isdigit() and int(word) < count):
            raise ValueError(
                f"{word!r} is no test picture of {found.name}; a number from 0 to {count - 1} "
                "would fit"
            )
    return [int(word) for word in words] or [0]


def _grid(shape: tuple[int, ...], rows: int) -> tuple[int, int]:
    """Rows and columns of the patches: those squares of which the picture has so many."""
    for patch in range(1, min(shape[:2]) + 1):
        down, across = shape[0] // patch, shape[1] // patch
        whole = shape[0] % patch == shape[1] % patch == 0
        if whole and down * across in (rows, rows - 1):
            return down, across
    raise ValueError(
        f"weights have {rows} rows, and the picture {shape[0]} x {shape[1]} pixels; as many rows "
        "as it has square patches, or one more, would fit"
    )
