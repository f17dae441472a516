import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.analysis.ablation import losses_without
from attention_jax.analysis.importance import gate_slopes, head_importance, rank_correlation
from attention_jax.models.places import Head
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.step import split
from tests.analysis.hand_built import batch_of_the_task, hand_built

RANDOM = TransformerConfig(
    vocabulary=12, width=8, encoder_layers=1, decoder_layers=1, heads=2, feed_forward=8, dropout=0.1
)


def test_slopes_are_those_of_finite_differences():
    batch = batch_of_the_task(rows=3)
    with jax.enable_x64(True):
        graph, params = split(Transformer(RANDOM, rngs=nnx.Rngs(0)))
        params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

        @jax.jit
        def each_nll(gates):
            def gated(place, outputs):
                return outputs * gates[place][None, None, :, None]

            logits = nnx.merge(graph, params)(batch.source, batch.target_in, heads=gated)
            sums = jax.vmap(smoothed_cross_entropy)(logits, batch.target_out, batch.weights)
            return sums.nll

        found, step = gate_slopes(graph, params, batch), 1e-4
        for head in RANDOM.every_head():
            up, down = ({p: np.ones(2) for p in RANDOM.places()} for _ in range(2))
            up[head.place][head.head] += step
            down[head.place][head.head] -= step
            wanted = (each_nll(up) - each_nll(down)) / (2 * step)
            np.testing.assert_allclose(found[head.place][:, head.head], wanted, rtol=1e-6)


def test_importance_is_the_mean_size_of_the_slopes():
    _, graph, params, batch, named = hand_built()
    half = jax.tree.map(lambda part: part[:4], batch)
    rest = jax.tree.map(lambda part: part[4:], batch)
    found = head_importance(graph, params, [half, rest])
    slopes = gate_slopes(graph, params, batch)
    for head, value in found.items():
        wanted = np.abs(slopes[head.place][:, head.head]).sum() / batch.weights.sum()
        assert value == pytest.approx(wanted, rel=1e-4, abs=1e-9)
    order = sorted(found, key=found.__getitem__)
    assert {*order[-2:]} == {named["previous"], named["reader"]}
    assert found[named["useless"]] == found[named["first"]] == 0
    truth = losses_without(graph, params, [batch])
    size = {head: abs(lost - truth[named["useless"]]) for head, lost in truth.items()}
    assert rank_correlation(found, size) == pytest.approx(1)


def test_by_layer_each_attention_has_norm_one():
    _, graph, params, batch, named = hand_built()
    found = head_importance(graph, params, [batch], by_layer=True)
    encoder = [value for head, value in found.items() if head.part == "encoder"]
    assert np.linalg.norm(encoder) == pytest.approx(1)
    assert found[named["reader"]] == pytest.approx(1)
    assert found[named["first"]] == 0  # no head of its attention matters: 0, not NaN


def test_no_tokens_are_refused():
    _, graph, params, batch, _ = hand_built()
    with pytest.raises(ValueError, match="no token"):
        head_importance(graph, params, [batch._replace(weights=0 * batch.weights)])


def test_rank_correlation_by_hand():
    heads = [Head("cross", 0, i) for i in range(4)]

    def ranked(*values):
        return dict(zip(heads, map(float, values), strict=True))

    assert rank_correlation(ranked(1, 2, 3, 4), ranked(10, 20, 30, 31)) == pytest.approx(1)
    assert rank_correlation(ranked(1, 2, 3, 4), ranked(4, 3, 2, 1)) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5, squares 4.5 and 5.
    assert rank_correlation(ranked(1, 2, 2, 4), ranked(1, 2, 3, 4)) == pytest.approx(0.9486833)
    assert rank_correlation(ranked(1, 1, 1, 1), ranked(1, 2, 3, 4)) is None
    with pytest.raises(ValueError, match="0 heads in common"):
        rank_correlation(ranked(1, 2, 3, 4), {})
