import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from attention_jax.analysis import ablation
from attention_jax.analysis.pruning import (
    curve,
    greedy_order,
    importance_order,
    markdown,
    one_left,
    random_order,
    scorer,
    some_batches,
    spread,
)
from attention_jax.data import Examples, Pair
from attention_jax.experiment import run
from attention_jax.models.places import Head
from tests.analysis.hand_built import CONFIG, hand_built
from tests.tiny_run import tiny, write_corpus

EVERY = CONFIG.every_head()


@pytest.fixture(scope="module")
def built():
    return hand_built()


@pytest.fixture(scope="module")
def greedy(built):
    _, graph, params, batch, _ = built
    return greedy_order(graph, params, [batch])


def test_greedily_the_heads_that_work_go_last(built, greedy):
    _, graph, params, batch, named = built
    assert sorted(greedy) == sorted(EVERY)
    assert {*greedy[-2:]} == {named["previous"], named["reader"]}
    # Each step takes the head whose loss is the lowest of all.
    for count in (0, 3, 9):
        left = [head for head in EVERY if head not in greedy[:count]]
        removals = [[*greedy[:count], head] for head in left]
        found = ablation.losses(graph, params, [batch], removals)
        assert left[int(np.argmin(found))] == greedy[count]


def test_a_round_can_take_several_heads(built, greedy):
    _, graph, params, batch, named = built
    found = greedy_order(graph, params, [batch], share=0.5)
    assert sorted(found) == sorted(EVERY)
    truth = ablation.losses_without(graph, params, [batch])
    assert max(truth[h] for h in found[:6]) <= min(truth[h] for h in found[6:])
    assert {*found[-2:]} == {named["previous"], named["reader"]}
    with pytest.raises(ValueError, match="share is 2"):
        greedy_order(graph, params, [batch], share=2)


def test_a_curve_starts_with_all_heads_and_ends_with_none(built, greedy):
    config, graph, params, batch, _ = built
    scored = []

    def score(graph, edited):
        scored.append(ablation.loss(graph, edited, [batch]))
        return float(len(scored))

    points = curve(graph, params, [batch], greedy, at=[0, 2, 12], score=score)
    assert [one["left"] for one in points] == [12, 2, 0]
    assert points[0]["by_part"] == {"encoder": 4, "decoder": 4, "cross": 4}
    assert points[1]["by_part"] == {"encoder": 1, "decoder": 0, "cross": 1}
    assert points[0]["loss"] == ablation.loss(graph, params, [batch])
    assert points[1]["loss"] < 0.01 < 1 < points[2]["loss"]
    # Translations are judged with the heads gone that the loss is of.
    assert [one["loss"] for one in points] == pytest.approx(scored, rel=1e-5)
    assert [one["score"] for one in points] == [1, 2, 3]
    with pytest.raises(ValueError, match="order has 11 heads"):
        curve(graph, params, [batch], greedy[1:], at=[1])
    with pytest.raises(ValueError, match="from 0 to 12 would fit"):
        curve(graph, params, [batch], greedy, at=[13])


def test_the_best_head_is_the_one_that_is_left(built):
    _, graph, params, batch, named = built
    rows = one_left(graph, params, [batch], [batch])
    assert [(row["part"], row["layer"]) for row in rows] == CONFIG.places()
    chosen = {row["part"]: row["head"] for row in rows}
    assert chosen["encoder"] == named["previous"].head
    assert chosen["cross"] == named["reader"].head
    assert all(row["loss"] < 0.01 and row["score"] is None for row in rows)


def test_orders_and_points():
    heads = [Head("cross", 0, i) for i in range(3)]
    assert importance_order(dict(zip(heads, (3.0, 1.0, 2.0), strict=True))) == [
        heads[1], heads[2], heads[0],
    ]  # fmt: skip
    assert sorted(random_order(CONFIG, 1)) == sorted(EVERY)
    assert random_order(CONFIG, 1) == random_order(CONFIG, 1) != random_order(CONFIG, 2)
    assert spread(96, 4) == [96, 64, 32, 0]
    assert spread(2, 10) == [2, 1, 0]


def test_some_sentences_are_spread_over_all():
    sides = [np.full(1 + i % 7, 3 + i, np.int32) for i in range(50)]
    batches = some_batches(Examples(sides, sides, 16, np.arange(50)), 6)
    firsts = sorted(int(row[0]) for batch in batches for row in batch.source if row[0] > 2)
    assert len(firsts) == 6 and (firsts[0], firsts[-1]) == (3, 52)


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric is 'ter'"):
        scorer(None, None, [Pair("a", "b")], "ter")  # pyright: ignore[reportArgumentType]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_experiment_from_the_command_line(tmp_path):
    experiment = tiny(write_corpus(tmp_path / "corpus"), steps=8)
    run(experiment, tmp_path / "run", quiet=True)
    script = Path(__file__).parents[2] / "experiments" / "pruning.py"
    command = [sys.executable, script, "--run", tmp_path / "run", "--smoke", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads((tmp_path / "pruning.json").read_text("utf-8"))
    assert markdown(found) == (tmp_path / "pruning.md").read_text("utf-8")
    assert markdown(found) in done.stdout
    assert set(found["curves"]) == {"greedy", "importance", "random", "gates"}
    before, masked, removed, retrained = found["removed"]
    assert found["baseline"]["loss"] == before["loss"]
    assert masked["loss"] == pytest.approx(removed["loss"], rel=1e-5)
    assert before["heads"] == 2 * removed["heads"] and retrained["heads"] == removed["heads"]
