"""Where the model that writes captions looks for each of its words."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int, UInt8

from attention_jax.analysis.grounding import shares
from attention_jax.data.scene_captions import CaptionBatch, captioned
from attention_jax.data.scene_words import CAPTION_WORDS, rectangle
from attention_jax.data.scenes import SIDE, scenes
from attention_jax.data.tokens import START
from attention_jax.models.captioning_config import ATTENTION
from attention_jax.models.captioning_layers import name_of_cell
from attention_jax.tasks.captioning import written
from attention_jax.tasks.run import Loaded
from attention_jax.training.step import split
from attention_jax.views.picture_maps import picture_maps
from attention_jax.views.readings import Attention, Reading
from attention_jax.views.style import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Said(NamedTuple):
    """A test picture, what the model says of it, and where it looks while it does.

    Attributes:
      picture: what it looks at.
      words: its own.
      weights: of each of the words.
      wanted: the caption as it should be.
      boxes: of the thing that each word names, if the caption is right; zeros where it names none.
    """

    picture: UInt8[np.ndarray, "SIDE SIDE 3"]
    words: list[str]
    weights: Float[np.ndarray, "T S"]
    wanted: str
    boxes: Int[np.ndarray, "T 4"]


def readings(loaded: Loaded, words: Sequence[str]) -> list[Reading]:
    """What the model looks at in pictures of the test split, word by word of its own caption.

    Args:
      loaded: the run.
      words: numbers of test pictures, from 0; none for the first one.

    Raises:
      ValueError: a word is no such number.
    """
    found = []
    for number in numbers(words, loaded.task.data.test):
        one = said(loaded, number)
        config = loaded.model.config.cells
        cells = [name_of_cell(cell, config.rows) for cell in range(config.count)]
        before = ["<start>", *one.words[:-1]] if one.words else ["<start>"]
        attention = Attention("cross", [one.weights[None]], before, cells, one.words or ["<end>"])
        title = f"test picture {number}: {one.wanted}"
        kept = {"model": loaded.task.name, "input": title, "output": " ".join(one.words)}
        found.append(Reading((attention,), **kept))
    return found


def caption_figure(
    loaded: Loaded,
    number: int = 0,
    *,
    columns: int = 6,
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """A test picture, lit where the model looks for each of its words.

    Around the thing that a word names stands its box; below, the share of attention inside it.

    Args:
      loaded: the run.
      number: of the test picture, from 0.
      columns: how many pictures stand beside each other.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Raises:
      ValueError: there is no such picture.
    """
    (number,) = numbers([str(number)], loaded.task.data.test)
    one = said(loaded, number)
    rows = loaded.model.config.cells.rows
    inside = (one.weights * shares(one.boxes, rows, rows, SIDE, SIDE)).sum(-1)
    notes = [
        f"{share:.0%} in the box" if box.any() else ""
        for share, box in zip(inside, one.boxes, strict=True)
    ]
    return picture_maps(
        one.picture,
        one.weights,
        one.words or ["<end>"],
        notes=notes,
        boxes=list(one.boxes[:, None]),
        columns=columns,
        theme=theme,
        file=file,
    )


def said(loaded: Loaded, number: int) -> Said:
    """What the model says of one test picture, by greedy search, and where it looks."""
    scene = scenes(loaded.task.data)["test"][number]
    rows, gold = captioned([scene], loaded.task.data.seed)
    (text,) = written(loaded.model, rows)
    words = text.split()
    length = max(len(words), 1)
    ids = rectangle([[START, *CAPTION_WORDS.encode(text)]], rows.target_in.shape[1] + 1)
    weights = _weights(loaded, rows, ids[:, :-1])[:length]
    wanted = CAPTION_WORDS.decode(rows.target_out[0])
    named = gold.named[0, :length] if text == wanted else np.full(length, -1)
    boxes = np.where(named[:, None] >= 0, gold.boxes[0, named], 0)
    return Said(rows.pictures[0], words, weights, wanted, boxes)


def numbers(words: Sequence[str], count: int) -> list[int]:
    """The numbers of test pictures that the words are; the first where there are none.

    Raises:
      ValueError: a word is no such number.
    """
    for word in words:
        if not (word.isascii() and word.isdigit() and int(word) < count):
            raise ValueError(
                f"{word!r} is no test picture; a number from 0 to {count - 1} would fit"
            )
    return [int(word) for word in words] or [0]


def _weights(
    loaded: Loaded, rows: CaptionBatch, target_in: Int[np.ndarray, "1 T"]
) -> Float[np.ndarray, "T S"]:
    graph, params = split(loaded.model)

    @jax.jit
    def explained(params, pictures, target_in):
        return nnx.merge(graph, params)(pictures, target_in, explain=True)[1][ATTENTION]

    return np.asarray(explained(params, rows.pictures, target_in))[0, 0]
