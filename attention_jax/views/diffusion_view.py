"""Where a Diffusion Transformer looks while a picture comes out of noise."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attention_jax.data.images import PictureSet, as_bytes, as_floats, load_pictures
from attention_jax.data.rows import generator
from attention_jax.functional.noising import PATHS, noised
from attention_jax.tasks.run import Loaded
from attention_jax.views.figure import blank, finished
from attention_jax.views.readings import Attention, Reading
from attention_jax.views.style import INK, SHADE, Theme, known, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIME = 0.5
"""how far to noise a picture is where nobody says it"""
TIMES = (0.95, 0.8, 0.65, 0.5, 0.35, 0.2, 0.05)


def readings(loaded: Loaded, words: Sequence[str]) -> list[Reading]:
    """What the model of a run looks at in test pictures on their way to noise.

    Args:
      loaded: the run.
      words: each a time from 0, the picture, to 1, noise; none for 0.5. All are of the first test
        picture.

    Raises:
      ValueError: a word is no such time.
    """
    times = [_time(word) for word in words] or [TIME]
    found = load_pictures(loaded.task.data)
    _, _, weights = passes(loaded.model, found, times)
    config = loaded.task.model
    many = config.side // config.patch
    names = [f"row {row + 1}, column {column + 1}" for row, column in np.ndindex(many, many)]
    shows = found.classes[found.splits["test"].labels[0]]
    return [
        Reading(
            (Attention("encoder", list(weights[:, place]), names, names),),
            model=loaded.task.name,
            moment=f"time {time:g}",
            input=f"the first test picture of {Path(found.name).name}, which shows {shows}",
        )
        for place, time in enumerate(times)
    ]


def passes(
    model: nnx.Module, found: PictureSet, times: Sequence[float], place: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a model makes of a test picture at several times, with the same noise at all of them.

    Returns:
      The noised pictures and what the model takes for the picture behind them, both numbers
      [N, side, side, channels], and the weights of all attentions [L, N, H, T, T].
    """
    images, labels = (rows[place : place + 1] for rows in found.splits["test"])
    noise = generator(place, 0).standard_normal(images.shape, np.float32)
    count = len(times)
    graph, state = nnx.split(model)

    @jax.jit
    def look(state: Any, picture: Any, noise: Any, times: Any, labels: Any) -> Any:
        network: Any = nnx.merge(graph, state)
        kind = network.config.predicts
        x, _ = noised(kind, picture, noise, times)
        answer, weights = network(x, times, labels, explain=True)
        keep, add = PATHS[kind](times.reshape(-1, 1, 1, 1))
        behind = x - add * answer if kind == "velocity" else (x - add * answer) / keep
        return x, behind, weights

    many = [jnp.repeat(jnp.asarray(each), count, 0) for each in (as_floats(images), noise, labels)]
    given = many[0], many[1], jnp.asarray(times, jnp.float32), many[2]
    x, behind, weights = (np.asarray(each) for each in look(state, *given))
    return x, behind, weights


def out_of_noise(
    noised: np.ndarray,
    behind: np.ndarray,
    weights: np.ndarray,
    times: Sequence[float],
    *,
    query: int | None = None,
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """A column a time: what the model is given, what it sees behind, and where a patch looks.

    Args:
      noised: numbers [N, side, side, channels], as `passes` gives them.
      behind: as many.
      weights: [L, N, H, T, T]; one row of small maps a layer, each the mean over its heads.
      times: one for each column.
      query: the patch that looks; None for the one in the middle.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: there are not as many of all, or no such patch.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    layers, count, _, rows, _ = weights.shape
    if not len(noised) == len(behind) == count == len(times):
        raise ValueError(
            f"found {len(noised)} and {len(behind)} pictures, {count} weights and {len(times)} "
            "times; as many would fit"
        )
    many = round(rows**0.5)
    patch = many * (many // 2) + many // 2 if query is None else query
    if not 0 <= patch < rows:
        raise ValueError(f"query is {patch}; a patch from 0 to {rows - 1} would fit")
    maps = weights.mean(2)[:, :, patch].reshape(layers, count, many, many)
    colours = LinearSegmentedColormap.from_list("shares", SHADE[known(theme)])
    names = ["given", "seen behind", *(f"layer {layer + 1}" for layer in range(layers))]
    with styled(theme):
        figure = blank(1.0 * count + 0.4, 1.0 * len(names) + 0.4, layout="constrained")
        panels: Any = figure.subplots(len(names), count, squeeze=False)
        for (row, column), axes in np.ndenumerate(panels):
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            if row < 2:
                picture = as_bytes((noised, behind)[row][column])
                axes.imshow(np.broadcast_to(picture, (*picture.shape[:2], 3)))
            else:
                found = maps[row - 2, column]
                axes.imshow(found, colours, vmin=0, vmax=found.max())
                down, across = divmod(patch, many)
                axes.add_patch(
                    Rectangle((across - 0.5, down - 0.5), 1, 1, fill=False, ec=INK[theme])
                )
            if not row:
                axes.set_title(f"t = {times[column]:g}", fontsize=9)
            if not column:
                axes.set_ylabel(names[row], fontsize=9)
    return finished(figure, file)


def _time(word: str) -> float:
    try:
        time = float(word)
    except ValueError:
        time = -1.0
    if not 0 <= time <= 1:
        raise ValueError(f"{word!r} is no time; a number from 0, the picture, to 1 would fit")
    return time
