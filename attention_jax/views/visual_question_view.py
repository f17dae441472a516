"""Where the model that answers questions looks, in the question and in the picture."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Bool, Int, UInt8

from attention_jax.analysis.grounding import joined, shares
from attention_jax.data.scene_questions import LENGTH, Question, questions
from attention_jax.data.scene_words import ANSWERS, QUESTION_WORDS, rectangle
from attention_jax.data.scenes import SIDE, Scene, boxes, pictures, scenes
from attention_jax.data.tokens import START
from attention_jax.models.captioning_layers import name_of_cell
from attention_jax.models.places import Head, Place
from attention_jax.tasks.run import Loaded
from attention_jax.training.step import split
from attention_jax.views.captioning_view import numbers
from attention_jax.views.gather import Seen, attention_of, look
from attention_jax.views.picture_maps import picture_maps
from attention_jax.views.readings import Reading
from attention_jax.views.style import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Answer(NamedTuple):
    """A question about a test picture, what the model answers, and where it looks.

    Attributes:
      picture: what it looks at.
      question: as it is asked.
      answer: the model's.
      wanted: the right one; empty where the builder does not know the question.
      boxes: of the things of the picture.
      about: those among them that the right answer is read from.
      seen: by place, of a batch of one.
    """

    picture: UInt8[np.ndarray, "SIDE SIDE 3"]
    question: str
    answer: str
    wanted: str
    boxes: Int[np.ndarray, "MOST 4"]
    about: Bool[np.ndarray, " MOST"]
    seen: dict[Place, Seen]


def readings(loaded: Loaded, words: Sequence[str]) -> list[Reading]:
    """What the model looks at for questions about one picture of the test split.

    Args:
      loaded: the run.
      words: the number of a test picture, from 0, and questions about it; without a number the
        first picture, without questions one of each kind.

    Raises:
      ValueError: there is no such picture, or a question has a word that is not known.
    """
    found, digits = [], [word for word in words if word.isdigit()]
    (number,) = numbers(digits[:1], loaded.task.data.test)
    texts = [word for word in words if word not in digits[:1]]
    for one in answers(loaded, number, texts):
        tokens = ["<answer>", *one.question.split()]
        config = loaded.model.config.cells
        cells = [name_of_cell(cell, config.rows) for cell in range(config.count)]
        kept: Any = {"model": loaded.task.name, "hypothesis": one.question}
        title = f"test picture {number}: {one.question}?"
        right = one.answer == one.wanted or not one.wanted
        said = one.answer if right else f"{one.answer} (and not {one.wanted})"
        attentions = (
            attention_of("encoder", one.seen, tokens, tokens),
            attention_of("cross", one.seen, tokens, cells),
        )
        found.append(Reading(attentions, **kept, input=title, output=said))
    return found


def question_figure(
    loaded: Loaded,
    head: Head,
    number: int = 0,
    texts: Sequence[str] = (),
    *,
    columns: int = 6,
    theme: Theme = "light",
    file: str | Path | None = None,
) -> "Figure":
    """A test picture, lit where one head looks from the mark that each answer is read from.

    Around the things that an answer is read from stand their boxes; below, the share of attention
    inside them.

    Args:
      loaded: the run.
      head: that looks at the picture.
      number: of the test picture, from 0.
      texts: questions; without any, one of each kind.
      columns: how many pictures stand beside each other.
      theme: colours for light or dark paper.
      file: where to write the figure too; the suffix decides how.

    Raises:
      ValueError: there is no such head or picture, or a question has a word that is not known.
    """
    if head.part != "cross" or head not in loaded.model.config.every_head():
        raise ValueError(f"{head} does not look at the picture; {Head('cross', 0, 0)} would fit")
    found = answers(loaded, numbers([str(number)], loaded.task.data.test)[0], texts)
    maps = np.stack([one.seen[head.place].weights[0, head.head, 0] for one in found])
    rows = loaded.model.config.cells.rows
    every = np.stack([one.boxes for one in found])
    about = np.stack([one.about for one in found])
    inside = joined(shares(every, rows, rows, SIDE, SIDE), about)
    notes = [
        f"{one.answer}; {share:.0%} in the box" if one.about.any() else one.answer
        for one, share in zip(found, (maps * inside).sum(-1), strict=True)
    ]
    return picture_maps(
        found[0].picture,
        maps,
        [one.question for one in found],
        notes=notes,
        boxes=[one.boxes[one.about] for one in found],
        columns=columns,
        theme=theme,
        file=file,
    )


def answers(loaded: Loaded, number: int, texts: Sequence[str]) -> list[Answer]:
    """What the model makes of questions about a test picture; without any, of one of each kind.

    Raises:
      ValueError: a question has a word that is not known, or too many of them.
    """
    scene = scenes(loaded.task.data)["test"][number]
    known = list(questions(scene))
    texts = [" ".join(text.removesuffix("?").split()) for text in texts]
    texts = texts or list({one.kind: one.text for one in known}.values())
    rows = [[START, *QUESTION_WORDS.encode(text)] for text in texts]
    for text, row in zip(texts, rows, strict=True):
        if not 1 < len(row) <= LENGTH:
            raise ValueError(f"{text!r} has {len(row) - 1} words; from 1 to {LENGTH - 1} would fit")
    graph, params = split(loaded.model)

    @jax.jit
    def read(params, picture, question):
        model = nnx.merge(graph, params)
        return look(partial(model, picture, question)), model(picture, question).argmax(-1)[0, 0]

    picture = pictures([scene], loaded.task.data.seed)
    found = []
    for text, row in zip(texts, rows, strict=True):
        # Without padding, so that there is nothing but what the question has.
        seen, best = jax.device_get(read(params, picture, rectangle([row], len(row))[None]))
        about, wanted = _known(text, scene, known)
        answer = ANSWERS[int(best)]
        found.append(Answer(picture[0], text, answer, wanted, boxes([scene])[0], about, seen))
    return found


def _known(
    text: str, scene: Scene, known: Sequence[Question]
) -> tuple[Bool[np.ndarray, " MOST"], str]:
    """The things that the right answer is read from, and that answer, where the builder knows."""
    about = np.zeros(len(boxes([scene])[0]), bool)
    for one in known:
        if one.text == text:
            about[list(one.about)] = True
            return about, one.answer
    return about, ""
