"""Where the two players of a Self-Attention GAN look, on their maps of features."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attention_jax.data.images import as_bytes
from attention_jax.data.rows import generator
from attention_jax.models.places import Place
from attention_jax.tasks.run import Loaded
from attention_jax.views.figure import blank, finished
from attention_jax.views.readings import Attention, Reading
from attention_jax.views.style import INK, SHADE, WARM, Theme, known, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def readings(loaded: Loaded, words: Sequence[str]) -> list[Reading]:
    """What the generator of a run looks at while it makes pictures, and the discriminator in them.

    Args:
      loaded: the run.
      words: a label for each picture to be made, from 0; none for one of label 0.

    Raises:
      ValueError: a word is no label.
    """
    config = loaded.task.model
    labels = [_label(word, config.classes) for word in words] or [0]
    _, weights = passes(loaded.model, labels, seed=loaded.task.seed)
    side = config.map_side
    names = [f"row {row + 1}, column {column + 1}" for row, column in np.ndindex(side, side)]
    return [
        Reading(
            tuple(
                Attention(place.part, [found[number]], names, names)
                for place, found in weights.items()
            ),
            model=loaded.task.name,
            hypothesis=f"picture {number + 1}",
            input=f"label {label}",
        )
        for number, label in enumerate(labels)
    ]


def passes(
    model: nnx.Module, labels: Sequence[int], *, seed: int = 0
) -> tuple[np.ndarray, dict[Place, np.ndarray]]:
    """Pictures of these labels, and where both players looked.

    Returns:
      Pictures, numbers from -1 to 1 [N, side, side, channels], and weights [N, H, T, T] by place:
      the generator's is "decoder", the discriminator's "encoder".
    """
    graph, state = nnx.split(model)

    @jax.jit
    def look(state: Any, latents: Any, labels: Any) -> Any:
        players: Any = nnx.merge(graph, state)
        pictures, made = players(latents, labels, explain=True)
        return pictures, {**made, **players.judge(pictures, labels, explain=True)[1]}

    players: Any = model
    latents = generator(seed, 0).standard_normal((len(labels), players.config.latent), np.float32)
    return jax.device_get(look(state, latents, jnp.asarray(labels, jnp.int32)))


def points(picture: np.ndarray, side: int) -> list[int]:
    """Three places of a map to look from: the lightest above, the lightest below, a dark corner.

    Args:
      picture: numbers [height, width, channels]; the map's side divides its own.
      side: of the map.
    """
    by = len(picture) // side
    cells = picture.mean(-1).reshape(side, by, side, by).mean((1, 3))
    half = side // 2
    above, below = int(cells[:half].argmax()), half * side + int(cells[half:].argmax())
    corners = [0, side - 1, side * (side - 1), side * side - 1]
    return [above, below, min(corners, key=lambda place: cells.flat[place])]


def attention_from_points(
    pictures: np.ndarray,
    weights: np.ndarray,
    *,
    head: int = 0,
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """A row a picture: itself, and where each of its `points` looks, the picture drawn over it.

    Args:
      pictures: numbers from -1 to 1 [N, side, side, channels].
      weights: of one attention, [N, H, T, T].
      head: which of its heads.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: the weights are not as many, no square map, or have no such head.
    """
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    count, heads, rows, _ = weights.shape
    side, size = round(rows**0.5), pictures.shape[1]
    if len(pictures) != count or side * side != rows or size % side:
        raise ValueError(
            f"found pictures {list(pictures.shape)} and weights {list(weights.shape)}; as many, of "
            "a square map whose side divides the picture's, would fit"
        )
    if not 0 <= head < heads:
        raise ValueError(f"head is {head}; one from 0 to {heads - 1} would fit")
    colours = LinearSegmentedColormap.from_list("shares", SHADE[known(theme)])
    box, by = (-0.5, size - 0.5, size - 0.5, -0.5), size // side
    names = ["made", "lightest above", "lightest below", "dark corner"]
    with styled(theme):
        figure = blank(1.25 * len(names), 1.2 * count + 0.3, layout="constrained")
        panels: Any = figure.subplots(count, len(names), squeeze=False)
        for (row, column), axes in np.ndenumerate(panels):
            shown = as_bytes(pictures[row])
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            if not column:
                axes.imshow(np.broadcast_to(shown, (size, size, 3)))
            else:
                query = points(pictures[row], side)[column - 1]
                found = weights[row, head, query].reshape(side, side)
                lines = np.empty((size, size, 4))
                lines[..., :3], lines[..., 3] = to_rgb(WARM[theme]), shown.mean(-1) / 255 * 0.35
                axes.imshow(found, colours, vmin=0, vmax=max(found.max(), 1e-9), extent=box)
                axes.imshow(lines, extent=box)
                down, across = divmod(query, side)
                middle = (by - 1) / 2
                axes.plot(across * by + middle, down * by + middle, "o", ms=5, mfc="none",
                          mec=INK[theme], mew=1.5)  # fmt: skip
                axes.set_xlabel(f"up to {found.max():.0%}", fontsize=7.5, labelpad=2)
            if not row:
                axes.set_title(names[column], fontsize=8.5)
    return finished(figure, file)


def _label(word: str, classes: int) -> int:
    if not word.isdecimal() or int(word) >= classes:
        raise ValueError(f"{word!r} is no label; a number from 0 to {classes - 1} would fit")
    return int(word)
