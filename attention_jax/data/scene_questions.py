"""Questions about scenes with answers of one word, balanced.

Of each question, word for word, every answer that it has comes equally often in a split: whoever
does not look at the picture is right as often as chance.

    colour     what colour is the ball · what colour is the big ball
    shape      what shape is the red one · what shape is the big red one
    size       what size is the red ball
    place      what shape is left of the ball · what colour is below the red one
    count      how many balls are there · how many red ones are there
    existence  is there a red ball
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from attention_jax.data.drawn_shapes import COLOURS, SHAPES
from attention_jax.data.scene_words import ANSWERS, PLURALS, QUESTION_WORDS, rectangle
from attention_jax.data.scenes import MOST, Scene, Thing, boxes, pictures
from attention_jax.data.tokens import START

KINDS = ("colour", "shape", "size", "place", "count", "existence")
NUMBERS = ("zero", "one", "two", "three")
LENGTH = 9
"""tokens of the longest question, and the mark before it"""
TOGETHER = 4
"""Q, the most questions about one picture in a row: it is looked at once for all of them"""


class Question(NamedTuple):
    """One question about one scene."""

    kind: str
    text: str
    answer: str
    about: tuple[int, ...]
    """the things that the answer is read from, counted from 0: none where there are none"""


class QuestionBatch(NamedTuple):
    """Pictures with up to Q questions about each, and the answers."""

    pictures: UInt8[np.ndarray, "B SIDE SIDE 3"]
    questions: Int[np.ndarray, "B Q T"]
    """a start mark, whose features the answer is read from, then the question, then padding; where
    there are fewer questions, padding alone"""
    answers: Int[np.ndarray, "B Q"]
    """places in `ANSWERS`"""
    weights: Float[np.ndarray, "B Q"]
    """1 for a question, 0 where there is none"""


class Asked(NamedTuple):
    """What is known of each question besides."""

    kinds: Int[np.ndarray, "N Q"]
    """places in `KINDS`; -1 where there is no question"""
    boxes: Int[np.ndarray, "N MOST 4"]
    """of all things of the picture: top, left, bottom and right in pixels"""
    about: Bool[np.ndarray, "N Q MOST"]
    """the things that the answer is read from"""


def questions(scene: Scene) -> Iterator[Question]:
    """Every question that the scene answers, in a fixed order."""
    things = scene.things
    yield from _which(things, "colour", "shape", "the {}")
    yield from _which(things, "shape", "colour", "the {} one")
    for place, thing in enumerate(things):
        if _alone(things, colour=thing.colour, shape=thing.shape):
            text = f"what size is the {thing.colour} {thing.shape}"
            yield Question("size", text, thing.size, (place,))
    yield from _places(things)
    for name, kinds in (("shape", SHAPES), ("colour", tuple(COLOURS))):
        for kind in kinds:
            found = _those(things, **{name: kind})
            if len(found) < len(NUMBERS):
                many = PLURALS.get(kind, f"{kind} ones")
                text = f"how many {many} are there"
                yield Question("count", text, NUMBERS[len(found)], found)
    for colour in COLOURS:
        for shape in SHAPES:
            # That neither is there would be too easy.
            if any(thing.colour == colour or thing.shape == shape for thing in things):
                found = _those(things, colour=colour, shape=shape)
                text = f"is there a {colour} {shape}"
                yield Question("existence", text, "yes" if found else "no", found)


def balanced(scenes: Sequence[Scene], count: int, seed: int) -> list[tuple[int, Question]]:
    """Questions with the number of their scene, each kind about as often, each answer exactly so.

    Args:
      scenes: of one split.
      count: how many questions are wanted; there are about so many, or fewer where scenes do not
        give as many.
      seed: of which of all possible ones these are.

    Raises:
      ValueError: there is no question with more than one answer.
    """
    every: dict[tuple[str, str], dict[str, list[tuple[int, Question]]]] = {}
    for number, scene in enumerate(scenes):
        for question in questions(scene):
            answers = every.setdefault((question.kind, question.text), {})
            answers.setdefault(question.answer, []).append((number, question))
    # A question with one answer in the whole split can be guessed.
    every = {asked: answers for asked, answers in every.items() if len(answers) > 1}
    texts = {kind: sum(asked[0] == kind for asked in every) for kind in KINDS}
    chance = random.Random(f"questions {seed}")
    found = []
    for (kind, _), answers in sorted(every.items()):
        wanted = round(count / len(KINDS) / texts[kind] / len(answers))
        each = min(max(1, wanted), *map(len, answers.values()))
        for _, rows in sorted(answers.items()):
            found += chance.sample(rows, each)
    if not found:
        raise ValueError(f"{len(scenes)} scenes answer no question in two ways; more would fit")
    chance.shuffle(found)
    return found


def asked(scenes: Sequence[Scene], count: int, seed: int) -> tuple[QuestionBatch, Asked]:
    """Balanced questions about the scenes, `TOGETHER` about one picture in a row.

    A scene with more of them has several rows, one without any has none. See `balanced` for the
    arguments.
    """
    of: dict[int, list[Question]] = {}
    for number, question in balanced(scenes, count, seed):
        of.setdefault(number, []).append(question)
    rows = [
        (number, together[at : at + TOGETHER])
        for number, together in of.items()
        for at in range(0, len(together), TOGETHER)
    ]
    shape = len(rows), TOGETHER
    batch = QuestionBatch(
        pictures([scenes[number] for number, _ in rows], seed),
        np.zeros((*shape, LENGTH), np.int32),
        np.zeros(shape, np.int32),
        np.zeros(shape, np.float32),
    )
    known = Asked(
        np.full(shape, -1, np.int32),
        boxes([scenes[number] for number, _ in rows]),
        np.zeros((*shape, MOST), bool),
    )
    for row, (_, together) in enumerate(rows):
        texts = [[START, *QUESTION_WORDS.encode(one.text)] for one in together]
        batch.questions[row, : len(together)] = rectangle(texts, LENGTH)
        for place, question in enumerate(together):
            batch.answers[row, place] = ANSWERS.index(question.answer)
            batch.weights[row, place] = 1
            known.kinds[row, place] = KINDS.index(question.kind)
            known.about[row, place, list(question.about)] = True
    return batch, known


def _which(things: Sequence[Thing], wanted: str, by: str, words: str) -> Iterator[Question]:
    """Questions for one look of a thing by another; with its size where that alone does not do."""
    for place, thing in enumerate(things):
        look = getattr(thing, by)
        name, least = words.format(look), {by: look}
        if not _alone(things, **least):
            name, least = words.format(f"{thing.size} {look}"), {by: look, "size": thing.size}
        if _alone(things, **least):
            yield Question(wanted, f"what {wanted} is {name}", getattr(thing, wanted), (place,))


def _places(things: Sequence[Thing]) -> Iterator[Question]:
    """Questions for the one thing that stands on some side of another."""
    for thing in things:
        for by, words in (("shape", "the {}"), ("colour", "the {} one")):
            look = getattr(thing, by)
            if not _alone(things, **{by: look}):
                continue
            sides = {
                "left of": [n for n, one in enumerate(things) if one.column < thing.column],
                "right of": [n for n, one in enumerate(things) if one.column > thing.column],
                "above": [n for n, one in enumerate(things) if one.row < thing.row],
                "below": [n for n, one in enumerate(things) if one.row > thing.row],
            }
            for side, found in sides.items():
                if len(found) == 1:
                    for wanted in ("shape", "colour"):
                        text = f"what {wanted} is {side} {words.format(look)}"
                        answer = getattr(things[found[0]], wanted)
                        yield Question("place", text, answer, tuple(found))


def _those(things: Sequence[Thing], **looks: str) -> tuple[int, ...]:
    """Which things look so."""
    found = range(len(things))
    for name, look in looks.items():
        found = [place for place in found if getattr(things[place], name) == look]
    return tuple(found)


def _alone(things: Sequence[Thing], **looks: str) -> bool:
    return len(_those(things, **looks)) == 1
