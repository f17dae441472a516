"""What a model hears and where it listens: readings, and attention over time below the sound."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.data.log_mel import HOP_SECONDS
from attention_jax.data.spoken_digits import (
    WORDS,
    Clips,
    SpokenDigitsConfig,
    clip,
    heard,
    read,
    spoken,
)
from attention_jax.data.synthesis import speaker
from attention_jax.data.tokens import START
from attention_jax.models.speech import STRIDE, positions_of
from attention_jax.tasks.run import Loaded
from attention_jax.tasks.speech import searched
from attention_jax.training.step import split
from attention_jax.views.figure import blank, finished
from attention_jax.views.readings import Attention, Reading
from attention_jax.views.style import FAINT, INK, SHADE, WARM, Theme, drawable, known, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = "decoder", "cross"
"""what is shown; that of every moment to every other, the encoder's, is too large for a page"""


def readings(loaded: Loaded, words: Sequence[str]) -> list[Reading]:
    """What the model of a run hears, and where it listens for each token that it writes.

    Args:
      loaded: the run.
      words: numbers of test clips, from 0, or the names of digits, which somebody then says whom
        the model never heard; none for the first test clip.

    Raises:
      ValueError: the words are neither, or too many digits; the message says what would fit.
    """
    data, said = loaded.task.data, " ".join(words).lower().split()
    if said and all(word in WORDS for word in said):
        if len(said) > data.digits:
            raise ValueError(
                f"{len(said)} digits; at most {data.digits}, as in training, would fit"
            )
        chance = random.Random(f"shown {data.seed}")
        options: dict[str, Any] = {"voice": data.voice, "loudness": data.loudness}
        one = clip([WORDS.index(word) for word in said], speaker(chance), chance, **options)
        return [_reading(loaded, heard([one], data), "a new voice, which says")]
    places = _places(said, data.held)
    clips = heard(spoken(data, "test"), data)
    return [
        _reading(loaded, Clips(*(x[at : at + 1] for x in clips)), f"test clip {at}, which says")
        for at in places
    ]


def attention_over_time(
    frames: Float[Any, "frames mels"],
    weights: Float[Any, "L H T S"],
    tokens: Sequence[str],
    *,
    spans: Float[Any, "T 2"] | None = None,
    title: str = "",
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """The spectrogram, and below it where each head looks, a row of its own for each token.

    A column a layer; time runs to the right in all panels.

    Args:
      frames: a row every 10 ms.
      weights: of the attentions to the sound; one source for every two frames.
      tokens: what each row writes.
      spans: the frames between which each token was said; they are framed. None: not known.
      title: above all.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Returns:
      A figure, which a notebook shows.

    Raises:
      ValueError: the shapes and the tokens do not fit each other.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    array, sound = np.asarray(weights, np.float64), np.asarray(frames)
    fits = sound.ndim == 2 and array.ndim == 4 and array.size > 0
    fits = fits and array.shape[2:] == (len(tokens), positions_of(len(sound)))
    if not fits or (spans is not None and np.shape(spans) != (len(tokens), 2)):
        raise ValueError(
            f"frames have shape {list(sound.shape)}, weights {list(array.shape)}, and there are "
            f"{len(tokens)} tokens; [frames, mels], [L, H, tokens, frames / {STRIDE}] and spans "
            "[tokens, 2] would fit"
        )
    layers, heads, count, _ = array.shape
    seconds, end = len(sound) * HOP_SECONDS, array.shape[3] * STRIDE * HOP_SECONDS
    colours = LinearSegmentedColormap.from_list("shares", SHADE[known(theme)])
    with styled(theme):
        tall = 0.25 + 0.11 * count
        figure = blank(3.6 * layers + 0.5, 1.1 + heads * tall + 0.5, layout="constrained")
        ratios = [1.0, *[tall] * heads]
        panels: Any = figure.subplots(
            heads + 1, layers, squeeze=False, sharex=True, height_ratios=ratios
        )
        for layer in range(layers):
            top = panels[0, layer]
            box = (0, seconds, -0.5, sound.shape[1] - 0.5)
            top.imshow(sound.T, colours, extent=box, origin="lower", aspect="auto")
            top.set_title(f"layer {layer + 1}", fontsize=10)
            top.set(yticks=[])
            for head in range(heads):
                axes, found = panels[head + 1, layer], array[layer, head]
                box = (0, end, count - 0.5, -0.5)
                axes.imshow(found, colours, vmin=0, extent=box, aspect="auto")
                for row, span in enumerate([] if spans is None else np.asarray(spans)):
                    begin, width = span[0] * HOP_SECONDS, (span[1] - span[0]) * HOP_SECONDS
                    frame = Rectangle((begin, row - 0.5), width, 1, fill=False)
                    frame.set(edgecolor=WARM[theme], linewidth=0.8)
                    axes.add_patch(frame)
                names = [drawable(token, 8) for token in tokens]
                axes.set_yticks(range(count), names if not layer else [""] * count, fontsize=6)
                axes.set_ylabel(f"head {head + 1}" if not layer else "", fontsize=8)
            panels[-1, layer].set_xlabel("seconds", fontsize=9)
        for axes in panels.flat:
            axes.grid(False)
            axes.tick_params(color=FAINT[theme], labelcolor=INK[theme], length=2, labelsize=7)
        panels[0, 0].set_ylabel("sound", fontsize=8)
        if title:
            figure.suptitle(title, fontsize=11)
    return finished(figure, file)


def picture(
    loaded: Loaded, place: int | None = None, *, file: str | Path | None = None
) -> "Figure":
    """A test clip of a run, and where each head listens while the model writes what it hears.

    When each token was said is marked where all of them are right.

    Args:
      loaded: the run.
      place: of the clip, from 0; None: the first of those with the most to say.
      file: where to write the figure too.
    """
    data = loaded.task.data
    clips = heard(spoken(data, "test"), data)
    at = int((clips.tokens != 0).sum(-1).argmax()) if place is None else place
    one = Clips(*(x[at : at + 1] for x in clips))
    tokens, found = listened(loaded.model, one, data)
    right = tokens == one.tokens[0, : len(tokens)].tolist()
    return attention_over_time(
        one.frames[0, : one.lengths[0]],
        found["cross"],
        [data.names[token] for token in tokens],
        spans=one.spans[0, : len(tokens)] if right else None,
        title=f"Test clip {at}: {' '.join(read(one.tokens[0], data))}",
        file=file,
    )


def listened(
    model: Any, clips: Clips, data: SpokenDigitsConfig
) -> tuple[list[int], dict[str, Float[np.ndarray, "L H T S"]]]:
    """The tokens that the model writes of one clip, and its attention on the way, by part.

    Args:
      model: of a run.
      clips: one row.
      data: what the clip was made by.
    """
    graph, params = split(model)
    frames, lengths = clips.frames[:, : clips.lengths[0]], clips.lengths
    tokens = searched(model, clips, data)[0]
    end = int((tokens != 0).sum())
    target_in = np.array([[START, *tokens[: end - 1]]], np.int32)

    @jax.jit
    def explained(params: Any, frames: Array, lengths: Array, target_in: Array) -> Any:
        return nnx.merge(graph, params)(frames, lengths, target_in, explain=True)[1]

    found = jax.device_get(explained(params, frames, lengths, target_in))
    parts = {
        part: np.stack([found[place][0] for place in sorted(found) if place.part == part])
        for part in PARTS
    }
    return [int(token) for token in tokens[:end]], parts


def _reading(loaded: Loaded, clips: Clips, what: str) -> Reading:
    data = loaded.task.data
    tokens, found = listened(loaded.model, clips, data)
    chosen = [data.names[token] for token in tokens]
    queries = [data.names[START], *chosen[:-1]]
    moments = [
        f"{at * STRIDE * HOP_SECONDS:.2f} s" for at in range(positions_of(int(clips.lengths[0])))
    ]
    sources = {"decoder": queries, "cross": moments}
    return Reading(
        tuple(Attention(part, list(found[part]), queries, sources[part], chosen) for part in PARTS),
        model=loaded.task.name,
        input=f"{what} {' '.join(read(clips.tokens[0], data))}",
        output=" ".join(read(tokens, data)),
    )


def _places(words: Sequence[str], count: int) -> list[int]:
    """The numbers of test clips that the words are."""
    places = []
    for word in words or ["0"]:
        if not word.isdecimal() or int(word) >= count:
            raise ValueError(
                f"found {word!r}; the number of a test clip, 0 to {count - 1}, or names of digits, "
                f"such as {WORDS[3]} {WORDS[0]}, would fit"
            )
        places.append(int(word))
    return places
