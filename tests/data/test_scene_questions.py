"""Questions have the answers of somebody else's reading, and cannot be guessed."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from attention_jax.data.drawn_shapes import COLOURS, SHAPES
from attention_jax.data.scene_questions import KINDS, TOGETHER, asked, balanced, questions
from attention_jax.data.scene_words import ANSWERS, QUESTION_WORDS
from attention_jax.data.scenes import ScenesConfig, scenes

NUMBERS = ["zero", "one", "two", "three", "four"]
SIDES = {
    "left of": lambda one, other: one.column < other.column,
    "right of": lambda one, other: one.column > other.column,
    "above": lambda one, other: one.row < other.row,
    "below": lambda one, other: one.row > other.row,
}


@pytest.fixture(scope="module")
def some():
    return scenes(ScenesConfig(train=400, validation=1, test=1))["train"]


def answered(text, things):
    """The answer and the things that it is about, from the words of the question alone."""

    def those(words):
        words = set(words.split()) - {"the", "one", "a"}
        return [n for n, one in enumerate(things) if words <= set(one[2:])]

    if found := re.fullmatch(r"how many (\w+)( ones)? are there", text):
        one = (
            found[1]
            if found[2]
            else re.sub("(es|s)$", "", found[1])
            if found[1] == "crosses"
            else found[1][:-1]
        )
        return NUMBERS[len(those(one))], those(one)
    if found := re.fullmatch("is there (.*)", text):
        return ("yes" if those(found[1]) else "no"), those(found[1])
    look, rest = re.fullmatch(r"what (\w+) is (.*)", text).groups()
    for side, stands in SIDES.items():
        if rest.startswith(side):
            (other,) = those(rest.removeprefix(side))
            found = [n for n, one in enumerate(things) if stands(one, things[other])]
            break
    else:
        found = those(rest)
    (one,) = found
    return getattr(things[one], look), found


def test_answers_are_right_and_read_from_the_right_things(some):
    kinds = Counter()
    for scene in some[:150]:
        for question in questions(scene):
            answer, about = answered(question.text, scene.things)
            assert (question.answer, list(question.about)) == (answer, about), question
            assert answer in ANSWERS
            kinds[question.kind] += 1
    assert set(kinds) == set(KINDS)


def test_a_question_alone_says_nothing_of_its_answer(some):
    answers = defaultdict(Counter)
    for _, question in balanced(some, 600, seed=0):
        answers[question.text][question.answer] += 1
    for found in answers.values():
        assert len(found) > 1 and len(set(found.values())) == 1
    assert any(word in text for text in answers for word in COLOURS)
    assert any(word in text for text in answers for word in SHAPES)


def test_rows_hold_the_questions_of_one_picture_each(some):
    batch, known = asked(some, 600, seed=0)
    wanted = balanced(some, 600, seed=0)
    assert batch.questions.shape[1] == batch.answers.shape[1] == TOGETHER
    assert batch.weights.sum() == len(wanted) > 300
    texts = defaultdict(Counter)
    for number, question in wanted:
        texts[number][question.text, question.answer, question.kind, question.about] += 1
    found = Counter()
    for row, place in zip(*np.nonzero(batch.weights), strict=True):
        text = QUESTION_WORDS.decode(batch.questions[row, place])
        about = tuple(np.flatnonzero(known.about[row, place]).tolist())
        answer = ANSWERS[batch.answers[row, place]]
        found[text, answer, KINDS[known.kinds[row, place]], about] += 1
    assert found == sum(texts.values(), Counter())
    empty = batch.weights == 0
    assert not batch.questions[empty].any() and not known.about[empty].any()
    assert (known.kinds[empty] == -1).all()


def test_scenes_without_a_choice_of_answers_are_refused(some):
    with pytest.raises(ValueError, match="1 scenes answer no question in two ways"):
        balanced(some[:1], 10, seed=0)
