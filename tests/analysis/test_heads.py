"""What heads do: against loops in float64, and on a model whose heads are known."""

import json
import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.analysis import heads as module
from attention_jax.analysis.heads import describe, measure, over_training, write
from attention_jax.analysis.weights import STATISTICS, attention_sums, means
from attention_jax.data.batches import Batch
from attention_jax.experiment import run
from attention_jax.models.places import Head
from attention_jax.models.transformer import Transformer
from attention_jax.training import checkpoint
from attention_jax.training.step import split
from tests.analysis.hand_built import CONFIG, batch_of_the_task, hand_built
from tests.tiny_run import tiny, write_corpus


@pytest.fixture(scope="module")
def built():
    return hand_built()


@pytest.fixture(scope="module")
def found(built):
    _, graph, params, batch, named = built
    measured = measure(graph, params, [batch])
    by_head = {Head(one["part"], one["layer"], one["head"]): one for one in measured["heads"]}
    return measured, {name: by_head[head] for name, head in named.items()}


def random_weights(queries, sources, heads=3, seed=0):
    """Rows that sum to one over the sources that count, and have no number elsewhere."""
    chance = np.random.default_rng(seed)
    shape = len(queries), heads, queries.shape[1], sources.shape[1]
    logits = np.where(sources[:, None, None], chance.normal(0, 2, shape), -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    real = queries[:, None, :, None] & sources[:, None, None]
    return np.where(real, weights, np.nan).astype(np.float32)


def real(lengths, longest):
    return np.arange(longest)[None] < np.array(lengths)[:, None]


def loop(weights, queries, sources):
    """The statistics of one head, one weight after the other."""
    sums, counts = dict.fromkeys(STATISTICS, 0.0), dict.fromkeys(STATISTICS, 0)
    for b, row in enumerate(weights.astype(np.float64)):
        for t in np.flatnonzero(queries[b]):
            seen = {int(s): row[t, s] for s in np.flatnonzero(sources[b])}
            sums["entropy"] -= sum(w * math.log(w) for w in seen.values() if w)
            sums["distance"] += sum(w * abs(t - s) for s, w in seen.items())
            sums["confidence"] += max(seen.values())
            for name in ("entropy", "distance", "confidence"):
                counts[name] += 1
            for name, s in {"previous": t - 1, "next": t + 1, "same": t, "first": 0}.items():
                if s in seen:
                    sums[name] += seen[s]
                    counts[name] += 1
    return {name: sums[name] / counts[name] for name in STATISTICS}


@pytest.mark.parametrize(("longest_t", "longest_s"), [(5, 5), (4, 7), (6, 3)])
def test_statistics_are_those_of_a_loop(longest_t, longest_s):
    queries = real([longest_t, 2, 0], longest_t)
    sources = real([2, longest_s, 1], longest_s)
    weights = random_weights(queries, sources)
    got = means(attention_sums(jnp.asarray(weights), queries, sources))
    for head in range(weights.shape[1]):
        wanted = loop(weights[:, head], queries, sources)
        for name in STATISTICS:
            assert got[name][head] == pytest.approx(wanted[name], rel=1e-5, abs=1e-6), name


def test_known_weights_have_known_statistics():
    every = np.ones((1, 4), bool)
    uniform = means(attention_sums(jnp.full((1, 1, 4, 4), 0.25), every, every))
    assert uniform["entropy"][0] == pytest.approx(math.log(4))
    assert uniform["distance"][0] == pytest.approx((6 + 4 + 4 + 6) / 16)
    assert all(uniform[name][0] == 0.25 for name in STATISTICS[2:])
    previous = means(attention_sums(jnp.eye(4, k=-1).at[0, 0].set(1)[None, None], every, every))
    assert [previous[name][0] for name in STATISTICS] == [0, 0.75, 1, 1, 0, 0.25, 0.5]


def test_padding_influences_no_bit():
    queries, sources = real([3, 1, 0], 5), real([2, 4, 1], 4)
    weights = random_weights(queries, sources)
    padded = np.isnan(weights)
    sums = [
        attention_sums(jnp.asarray(np.where(padded, filler, weights)), queries, sources)
        for filler in (0, np.nan, np.inf, -3)
    ]
    for other in sums[1:]:
        jax.tree.map(np.testing.assert_array_equal, sums[0], other)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(sums))


def test_what_is_never_there_is_no_number():
    one = np.ones((2, 1), bool)
    got = means(attention_sums(jnp.ones((2, 1, 1, 1)), one, one))
    assert math.isnan(got["previous"][0]) and math.isnan(got["next"][0])
    assert (got["same"][0], got["first"][0], got["entropy"][0]) == (1, 1, 0)


def test_hand_built_heads_are_found_as_what_they_are(found):
    _, named = found
    previous, same, uniform, first = (named[n] for n in ("previous", "same", "uniform", "first"))
    assert previous["previous"] > 0.999 and previous["same"] < 0.2
    assert previous["distance"] < 1 and previous["entropy"] < 0.01
    assert same["same"] > 0.999 and same["distance"] < 0.001
    assert first["first"] > 0.999 and first["confidence"] > 0.999
    assert named["reader"]["same"] > 0.999


def test_a_uniform_head_has_all_the_entropy_there_is(built, found):
    lengths = np.array([int((row != 0).sum()) for row in built[3].source])
    uniform = found[1]["uniform"]
    assert uniform["entropy"] == pytest.approx(np.average(np.log(lengths), weights=lengths), 1e-5)
    assert uniform["confidence"] == pytest.approx(len(lengths) / lengths.sum(), 1e-5)
    other = (uniform[name] for name in ("previous", "next", "same", "first"))
    assert max(other) < 0.2


def test_a_head_that_always_gives_the_same_is_like_no_other(built, found):
    assert found[1]["first"]["redundancy"] is None
    decoder = found[0]["similarity"]["decoder"][0]
    assert decoder[0] == [None] * 4 and decoder[1][1] == pytest.approx(1)


def test_the_hand_built_model_needs_its_heads(built):
    from attention_jax.analysis.ablation import loss, losses_without

    _, graph, params, batch, named = built
    before = loss(graph, params, [batch])
    without = losses_without(graph, params, [batch])
    assert before < 0.02
    assert without[named["previous"]] > 2 and without[named["reader"]] > 2
    assert without[named["useless"]] == before and without[named["first"]] == before


def test_batches_add_up_and_rows_of_padding_add_nothing(built):
    _, graph, params, batch, _ = built
    upper = np.arange(len(batch.source))[:, None] < 3
    halves = [Batch(*(leaf * mine for leaf in batch)) for mine in (upper, ~upper)]
    whole, parts = measure(graph, params, [batch]), measure(graph, params, halves)
    for one, other in zip(leaves(whole), leaves(parts), strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


def test_what_stands_in_padding_changes_no_bit(built):
    _, graph, params, batch, _ = built
    noise = np.where(batch.weights == 0, 7, batch.target_in)
    assert (noise != batch.target_in).any()
    noisy = batch._replace(target_in=noise, target_out=noise)
    assert measure(graph, params, [batch]) == measure(graph, params, [noisy])


def test_no_weights_outlive_their_layer(built):
    _, graph, params, _, _ = built
    batch = batch_of_the_task(rows=30, length=40)
    kept = jax.eval_shape(lambda p, b: module._look(graph, p, b, None), params, batch)
    # A head's outputs side by side have 64 features; anything with positions has 40 or more.
    assert {leaf.shape for leaf in jax.tree.leaves(kept)} == {(), (4,), (64,), (64, 64)}


def test_layers_of_unequal_heads_and_of_none():
    config = replace(
        CONFIG, width=16, head_size=4, decoder_layers=2, decoder_heads=(0, 1), cross_heads=(3, 2)
    )
    graph, params = split(Transformer(config, rngs=nnx.Rngs(0)))
    got = measure(graph, params, [batch_of_the_task()])
    assert [Head(h["part"], h["layer"], h["head"]) for h in got["heads"]] == config.every_head()
    assert got["similarity"]["decoder"] == [[], [[pytest.approx(1)]]]
    assert [np.shape(matrix) for matrix in got["similarity"]["cross"]] == [(3, 3), (2, 2)]
    lone = next(h for h in got["heads"] if h["part"] == "decoder")
    assert lone["redundancy"] is None and lone["entropy"] > 0


def test_no_batches_are_refused(built):
    with pytest.raises(ValueError, match="batches is empty"):
        measure(built[1], built[2], [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("heads")
    run(tiny(write_corpus(base / "corpus")), base / "run", quiet=True, stop_after=12)
    return base / "run"


def test_a_run_is_described(folder):
    got = describe(folder, sentences=20)
    assert (got["name"], got["split"]) == ("tiny", "validation")
    assert 15 < got["sentences"] < 20  # some are too long
    assert got["step"] in (6, 8, 12)
    assert [(h["part"], h["layer"], h["head"]) for h in got["heads"]] == [
        (part, 0, head) for part in ("encoder", "decoder", "cross") for head in (0, 1)
    ]
    for one in got["heads"]:
        assert one["importance"] >= 0 and math.isfinite(one["loss_without"])
        assert 0 <= one["redundancy"] <= 1 and 0 < one["confidence"] <= 1
        assert one["alignment_error"] is None  # the corpus has no gold links
    path = write(folder, got)
    assert path.name == "heads.json" and json.loads(path.read_text()) == got


def test_checkpoints_are_measured_in_order(folder):
    found = list(over_training(folder, sentences=20))
    assert [one["step"] for one in found] == checkpoint.finished(folder / "checkpoints")
    last = describe(folder, which="last", sentences=20)
    assert last["step"] == found[-1]["step"] == 12
    assert found[-1]["similarity"] == last["similarity"]
    assert found[0]["heads"][0]["entropy"] != found[-1]["heads"][0]["entropy"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "tests"}, "split is 'tests'; one of train, validation, test"),
        ({"sentences": 0}, "sentences is 0"),
    ],
)
def test_what_cannot_be_described_is_refused(folder, options, words):
    with pytest.raises(ValueError, match=words):
        describe(folder, **options)


def leaves(tree):
    """All numbers of nested dicts and lists."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list):
        return [leaf for item in tree for leaf in leaves(item)]
    return [] if tree is None or isinstance(tree, str) else [tree]
