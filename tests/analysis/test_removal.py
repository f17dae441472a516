from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.analysis import ablation
from attention_jax.analysis.costs import compare, sizes
from attention_jax.analysis.removal import remove, save_run, train_on
from attention_jax.experiment import prepare, read_result, run
from attention_jax.models.places import Head, Place
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.trained import load, translator
from attention_jax.training import checkpoint
from attention_jax.training.step import split
from tests.analysis.hand_built import batch_of_the_task, hand_built
from tests.tiny_run import tiny, write_corpus

CONFIG = TransformerConfig(
    vocabulary=12, width=16, encoder_layers=2, decoder_layers=2, heads=4, feed_forward=8, dropout=0
)
EMPTY = (Place("encoder", 0), Place("decoder", 1), Place("cross", 1))
REMOVED = [
    head for head in CONFIG.every_head() if head.place in EMPTY or (head.head + head.layer) % 3 == 0
]


def structure(config):
    return split(nnx.eval_shape(lambda: Transformer(config, rngs=nnx.Rngs(0))))


@pytest.fixture(scope="module")
def whole():
    """(graph, params, batch, mean outputs) of a random model."""
    graph, params = split(Transformer(CONFIG, rngs=nnx.Rngs(0)))
    batch = batch_of_the_task(rows=4, length=8)
    return graph, params, batch, ablation.mean_outputs(graph, params, [batch])


def masked(whole, meaning):
    """The logits of the whole model whose removed heads are silenced by hand."""
    graph, params, batch, means = whole
    gates = ablation.without_heads(CONFIG, REMOVED)

    def silenced(place, outputs):
        gate = gates[place][None, None, :, None]
        instead = means[place][None, None] if meaning == "mean" else 0.0
        return gate * outputs + (1 - gate) * instead

    return nnx.merge(graph, params)(batch.source, batch.target_in, heads=silenced)


@pytest.mark.slow
@pytest.mark.parametrize("meaning", ["zero", "mean"])
def test_what_is_cut_out_says_what_is_masked(whole, meaning):
    _, params, batch, means = whole
    config, cut = remove(CONFIG, params, REMOVED, meaning=meaning, means=means)
    assert config.encoder_heads == (0, 3) and config.cross_heads == (2, 0)
    assert config.output_bias == (meaning == "mean")
    graph, structs = structure(config)
    shapes = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (cut, structs)]
    assert shapes[0] == shapes[1]
    assert all(leaf.size for leaf in jax.tree.leaves(cut))

    model, wanted = nnx.merge(graph, cut), masked(whole, meaning)
    real = batch.weights != 0
    found = model(batch.source, batch.target_in)
    np.testing.assert_allclose(found[real], wanted[real], atol=1e-5)
    cache = model.start(batch.source, batch.target_in.shape[1])
    for t in range(batch.target_in.shape[1]):
        logits, cache = model.step(cache, batch.target_in[:, t])
        np.testing.assert_allclose(logits[real[:, t]], wanted[real[:, t], t], atol=1e-5)


@pytest.mark.slow
def test_a_cut_model_can_be_cut_again(whole):
    _, params, batch, means = whole
    at_once = remove(CONFIG, params, REMOVED, meaning="mean", means=means)
    first = [head for head in REMOVED if head.place in EMPTY]
    config, cut = remove(CONFIG, params, first, meaning="mean", means=means)
    config, cut = remove(
        config, cut, [head for head in REMOVED if head not in first], meaning="mean", means=means
    )
    assert config == at_once[0]
    for one, other in zip(jax.tree.leaves(cut), jax.tree.leaves(at_once[1]), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(ValueError, match="no head 0 in layer 0 of 'encoder'"):
        remove(config, cut, [Head("encoder", 0, 0)])


def test_the_hand_built_heads_stay_what_they_are():
    config, graph, params, batch, named = hand_built()
    needed = {named["previous"], named["reader"]}
    smaller, cut = remove(config, params, [h for h in config.every_head() if h not in needed])
    assert (smaller.encoder_heads, smaller.decoder_heads, smaller.cross_heads) == ((1,), (0,), (1,))
    assert ablation.loss(structure(smaller)[0], cut, [batch]) < 0.01
    assert sum(leaf.size for leaf in jax.tree.leaves(cut)) < 0.6 * sum(
        leaf.size for leaf in jax.tree.leaves(params)
    )


def test_what_cannot_be_removed_is_refused(whole):
    _, params, _, _ = whole
    shared = replace(CONFIG, key_value_heads=2)
    with pytest.raises(ValueError, match="key_value_heads is 2: heads that share keys and values"):
        remove(shared, params, [])
    with pytest.raises(ValueError, match="means is None"):
        remove(CONFIG, params, [], meaning="mean")
    with pytest.raises(ValueError, match="'uniform'; a removed head can leave 'zero' or 'mean'"):
        remove(CONFIG, params, [], meaning="uniform")  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(experiment, prepared, graph, params) of the tiny run."""
    folder = tmp_path_factory.mktemp("whole")
    experiment = tiny(write_corpus(folder / "corpus"), steps=12)
    prepared = prepare(experiment.data)
    run(experiment, folder / "run", quiet=True, prepared=prepared)
    return experiment, prepared, *load(folder / "run")[2:]


GONE = [Head("encoder", 0, 1), Head("decoder", 0, 0), Head("decoder", 0, 1)]


def test_a_cut_model_is_a_run_like_any_other(trained, tmp_path):
    experiment, prepared, graph, params = trained
    config, cut = remove(experiment.model, params, GONE)
    later = replace(experiment, name="cut")
    found = save_run(tmp_path / "cut", later, prepared.tokenizer, config, cut, loss=9.0)
    assert found == replace(later, model=config)

    loaded, _, smaller, params_there = load(tmp_path / "cut")
    assert loaded == found and checkpoint.digest(params_there) == checkpoint.digest(cut)
    batches = prepared.held_out()["validation"]
    (masked,) = ablation.losses(graph, params, batches, [GONE])
    assert ablation.loss(smaller, params_there, batches) == pytest.approx(masked, rel=1e-5)
    assert translator(tmp_path / "cut", rows=4).translate(["the cat", ""])[1] == ""

    with pytest.raises(ValueError, match="is not empty"):
        save_run(tmp_path / "cut", later, prepared.tokenizer, config, cut)


@pytest.mark.slow
def test_before_and_after(trained, tmp_path):
    experiment, prepared, graph, params = trained
    models = {"before": (graph, params)}
    settings = {"folder": tmp_path / "pruned", "steps": 2}
    models |= train_on(experiment, prepared, params, GONE, **settings)
    batches = prepared.held_out()["validation"]
    rows = compare(models, batches, rows=2, length=4, repeats=1)
    before, removed, retrained = rows
    assert [row["what"] for row in rows] == ["before", "removed", "retrained"]
    assert (before["heads"], removed["heads"], retrained["heads"]) == (6, 3, 3)
    # A head has 8 features; of 16 rows or columns in each of four kernels.
    assert before["parameters"] - removed["parameters"] == 3 * 4 * 16 * 8
    # The decoder's own keys and values are gone, those across are not.
    assert removed["cache_bytes"] * 2 == before["cache_bytes"] == 4 * 2 * 16 * (4 + 4)
    assert retrained["loss"] <= removed["loss"]
    record = read_result(tmp_path / "pruned")
    assert (record["steps"], record["parameters"]) == (2, removed["parameters"])
    for row in rows:
        assert row["tokens_per_second"] > 0 and row["scored_tokens_per_second"] > 0
        assert row["file_bytes"] > 0 and row["score"] is None
    again = train_on(experiment, prepared, params, GONE, **settings)  # finished: nothing is run
    assert checkpoint.digest(again["retrained"][1]) == checkpoint.digest(models["retrained"][1])


def test_sizes_by_hand():
    graph, params = structure(replace(CONFIG, encoder_heads=(1, 2), cross_heads=(0, 3)))
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), params)
    found = sizes(graph, params, length=5)
    assert found["heads"] == 1 + 2 + 2 * 4 + 3
    assert found["cache_bytes"] == 4 * 2 * 5 * (2 * 16 + 12)
