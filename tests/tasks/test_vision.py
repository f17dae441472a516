"""Telling what pictures show: what is learned, and how it is judged. See also `test_family`."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.images import Pictures, PicturesConfig, as_floats
from attention_jax.models.vision import VisionConfig, VisionTransformer
from attention_jax.tasks.run import run
from attention_jax.tasks.vision import VisionTask, answers, batch_of, confusion, score, telling
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.training_config import TrainingConfig

SMALL = VisionTask(
    data=PicturesConfig(limit=40, batch=8, shift=1),
    model=VisionConfig(patch=14, width=8, layers=1, heads=2, feed_forward=12, dropout=0.0),
)


class Brightest(nnx.Module):
    """Says in which column of its single row a picture is brightest."""

    config = SimpleNamespace(classes=3)

    def __init__(self):
        self.one = nnx.Param(jnp.ones(()))

    def __call__(self, pictures, **call):
        return pictures[:, 0, :, 0] * self.one[...]


def columns(*bright):
    images = np.zeros((len(bright), 1, 3, 1), np.uint8)
    images[np.arange(len(bright)), 0, bright] = 200
    return images


def test_scores_and_mistakes_are_counted(tmp_path):
    from PIL import Image

    said, labels = [0, 1, 2, 2, 1], np.array([0, 1, 2, 1, 0], np.int32)
    right = Pictures(columns(2, 0), np.array([2, 0], np.int32))
    splits = {"validation": right, "test": Pictures(columns(*said), labels)}
    found = score(Brightest(), tmp_path, splits=splits)
    assert found == {
        "validation_accuracy": 1.0,
        "test_accuracy": 0.6,
        "mistakes": 2,
    }
    told = json.loads((tmp_path / "mistakes.json").read_text())
    assert told["confusion"] == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert told["shown"] == [
        {"picture": 3, "label": 1, "said": 2},
        {"picture": 4, "label": 0, "said": 1},
    ]
    with Image.open(tmp_path / "mistakes.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (2, 2 * 6 + 2 + 10 * 8) and pixels[0, 4] == 200 and pixels[0, 10] == 200
    (tmp_path / "none").mkdir()
    assert score(Brightest(), tmp_path / "none", splits=splits | {"test": right})["mistakes"] == 0
    assert not (tmp_path / "none" / "mistakes.png").exists()


def test_more_pictures_than_a_batch_and_no_batch_of_them():
    bright = np.random.default_rng(0).integers(0, 3, 300)
    np.testing.assert_array_equal(answers(Brightest(), columns(*bright)), bright)
    assert confusion(bright, bright, 4).tolist() == np.diag([*np.bincount(bright), 0]).tolist()


def test_the_cost_is_the_likelihood_of_the_labels():
    images = np.random.default_rng(1).integers(0, 256, (3, 28, 28, 1)).astype(np.uint8)
    labels = np.array([4, 0, 9], np.int32)
    batch = batch_of(Pictures(images, labels))._replace(weights=np.float32([1, 0, 1]))

    @jax.jit
    def both():
        model = VisionTransformer(SMALL.model, rngs=nnx.Rngs(0))
        return telling(model, batch, smoothing=0.1), model(as_floats(images))

    found, logits = both()
    logits = np.float64(logits)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = -(logs[0, 4] + logs[2, 9])
    np.testing.assert_allclose(float(found.nll), wanted, rtol=1e-5)
    smooth = 0.9 * wanted - 0.1 * (logs[0].mean() + logs[2].mean())
    np.testing.assert_allclose(float(found.loss), smooth, rtol=1e-5)
    assert float(found.tokens) == 2


def test_batches_are_moved_pictures_with_their_labels():
    work = SMALL.work()
    still = replace(SMALL, data=replace(SMALL.data, shift=0)).work()
    moved, plain = work.plan[5], still.plan[5]
    np.testing.assert_array_equal(moved.labels, plain.labels)
    assert moved.weights.all() and (moved.pictures != plain.pictures).any()
    assert len({len(batch.labels) for batch in work.validation}) == 1
    assert sum(batch.weights.sum() for batch in work.validation) == 1_000


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"picture_height": 56}, "picture_height is 56, but the pictures of digits have 28; "),
        ({"channels": 3}, "--model.channels 1 would fit"),
        ({"classes": 9}, "--model.classes 10 would fit"),
    ],
)
def test_a_model_of_other_pictures(wrong, said):
    with pytest.raises(ValueError, match=said):
        replace(SMALL, model=replace(SMALL.model, **wrong)).work()


def learning(steps, peak, **options):
    optimizer = OptimizerConfig(schedule="cosine", peak=peak, warmup=steps // 10)
    every = {"evaluate_every": steps // 2, "checkpoint_every": steps // 2}
    return TrainingConfig(steps=steps, smoothing=0.1, optimizer=optimizer, **every, **options)


@pytest.mark.slow
def test_drawn_digits_are_learned(tmp_path, optimized):
    model = VisionConfig(patch=7, width=32, layers=2, heads=4, feed_forward=64, dropout=0.0)
    task = VisionTask(data=PicturesConfig(batch=64), model=model, training=learning(400, 4e-3))
    record = run(task, tmp_path / "run", quiet=True)
    assert record["test_accuracy"] > 0.9
    counts = json.loads((tmp_path / "run" / "mistakes.json").read_text())["confusion"]
    assert sum(map(sum, counts)) == 1_000 and sum(counts[i][i] for i in range(10)) > 900


@pytest.mark.slow
@pytest.mark.exhaustive
def test_mnist_is_learned(tmp_path, optimized):
    """About six minutes: the run that experiments/README.md tells of."""
    folder = os.environ.get("ATTENTION_JAX_REAL_DATA")
    if not folder:
        pytest.skip("ATTENTION_JAX_REAL_DATA names no folder with mnist in it")
    task = VisionTask(
        data=PicturesConfig(str(Path(folder) / "mnist"), shift=2),
        model=VisionConfig(patch=7, width=96, feed_forward=192, dropout=0.0),
        training=replace(
            VisionTask().training, steps=5_600, evaluate_every=400, checkpoint_every=400
        ),
    )
    assert run(task, tmp_path / "run", quiet=True)["test_accuracy"] >= 0.985
