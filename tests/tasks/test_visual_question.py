"""What the task of questions counts, and how it begins with what another run has learned."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.scene_questions import KINDS, asked
from attention_jax.data.scenes import ScenesConfig, scenes
from attention_jax.models.places import Head
from attention_jax.tasks import visual_question
from attention_jax.tasks.run import load, programs_of, run
from attention_jax.tasks.visual_question import (
    Answered,
    Split,
    VisualQuestionTask,
    answered,
    guess,
    score,
)
from tests.tasks.family import FAMILY

DRAWN = scenes(ScenesConfig(train=60, validation=30, test=30))
SPLITS = {name: Split(*asked(split, 4 * len(split), 0)) for name, split in DRAWN.items()}


def test_a_guess_is_right_as_often_as_there_are_answers():
    rows, _ = SPLITS["test"]
    asked = [
        (row.tobytes(), int(answer))
        for row, answer in zip(
            rows.questions[rows.weights > 0], rows.answers[rows.weights > 0], strict=True
        )
    ]
    answers = Counter(question for question, _ in set(asked))
    np.testing.assert_allclose(guess(rows), np.mean([1 / answers[one] for one, _ in asked]))


def test_figures_of_a_model_that_is_right_but_for_sizes(monkeypatch, tmp_path):
    def made_up(_, rows):
        (known,) = (split.asked for split in SPLITS.values() if split.rows is rows)
        answers = np.where(known.kinds == KINDS.index("size"), -1, rows.answers)
        even = np.full((*answers.shape, 81), 1 / 81)
        first = np.zeros_like(even)
        first[..., 0] = 1
        return Answered(answers, {Head("cross", 0, 0): first, Head("cross", 1, 0): even})

    monkeypatch.setattr(visual_question, "answered", made_up)
    model = SimpleNamespace(config=SimpleNamespace(cells=SimpleNamespace(rows=9)))
    found = score(model, tmp_path, splits=SPLITS)
    wanted = {kind: float(kind != "size") for kind in KINDS}
    assert found["accuracy_by_kind"] == wanted
    kinds = SPLITS["test"].asked.kinds
    assert found["questions_asked"] == (kinds >= 0).sum()
    sizes = (kinds == KINDS.index("size")).sum()
    np.testing.assert_allclose(found["accuracy"], 1 - sizes / (kinds >= 0).sum())
    judged = found["grounding"]
    assert judged["best"] == max(judged["heads"], key=judged["heads"].get)
    assert judged["test"]["rows"] == SPLITS["test"].asked.about.any(-1).sum()
    even = judged["heads"]["cross layer 2 head 1"]
    boxes = [
        sum((box[2] - box[0]) * (box[3] - box[1]) for box in boxes[about]) / 36**2
        for boxes, every in zip(
            SPLITS["validation"].asked.boxes, SPLITS["validation"].asked.about, strict=True
        )
        for about in every
        if about.any()
    ]
    np.testing.assert_allclose(even, np.mean(boxes))


@pytest.mark.slow
def test_looks_are_those_of_the_mark():
    task = FAMILY["visual_question"]
    work = task.work()
    model = work.make_model(nnx.Rngs(0))
    rows = work.plan[0]
    found = answered(model, rows)
    logits, weights = jax.jit(
        lambda rows: model(rows.pictures, rows.questions, explain=True)
    )(rows)  # fmt: skip
    np.testing.assert_array_equal(found.answers, logits.argmax(-1))
    length = rows.questions.shape[-1]
    for head, looks in found.looks.items():
        marks = np.asarray(weights[head.place])[:, head.head, ::length]
        np.testing.assert_allclose(looks, marks, atol=1e-6)
    assert set(found.looks) == {one for one in model.config.every_head() if one.part == "cross"}


@pytest.mark.slow
def test_a_run_begins_with_what_captions_have_taught(tmp_path):
    other = FAMILY["captioning"]
    short = replace(other.training, steps=2, evaluate_every=2, checkpoint_every=2)
    run(replace(other, training=short), tmp_path / "captions", quiet=True)
    task = replace(FAMILY["visual_question"], begin=tmp_path / "captions")
    work = task.work()
    programs = programs_of(task, work)
    fresh = jax.device_get(programs.whole(programs.start(0)))
    begun = work.begin(fresh)
    learned = nnx.to_pure_dict(nnx.state(load(tmp_path / "captions").model.cells, nnx.Param))
    jax.tree.map(np.testing.assert_array_equal, begun.params["cells"], learned)
    np.testing.assert_array_equal(
        begun.params["embedding"]["table"], fresh.params["embedding"]["table"]
    )
    cells = replace(task.model.cells, channels=6)
    wrong = replace(task, model=replace(task.model, cells=cells)).work()
    with pytest.raises(ValueError, match="begin is a run of captioning with .*channels=8"):
        wrong.begin(fresh)


def test_what_cannot_be_learned_is_refused():
    for name in ("questions", "batch"):
        with pytest.raises(ValueError, match=f"{name} is 0; it must be at least 1"):
            VisualQuestionTask(**{name: 0})
    task = VisualQuestionTask()
    with pytest.raises(ValueError, match="model.length is 5; 9 or more would fit"):
        replace(task, model=replace(task.model, length=5))
