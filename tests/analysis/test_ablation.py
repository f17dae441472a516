import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.analysis import ablation
from attention_jax.analysis.ablation import (
    losses,
    losses_with_only,
    losses_without,
    mean_outputs,
    partners,
    without,
)
from attention_jax.models.places import Head, Place
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.programs import compilations
from tests.analysis.hand_built import CONFIG, hand_built

CROSS = Place("cross", 0)


@pytest.fixture(scope="module")
def built():
    return hand_built()


@pytest.fixture(scope="module")
def whole(built):
    _, graph, params, batch, _ = built
    return ablation.loss(graph, params, [batch])


@pytest.fixture(scope="module")
def outputs(built):
    """What all heads give, by place."""
    _, graph, params, batch, _ = built
    seen = {}
    look = lambda place, found: seen.setdefault(place, found)  # noqa: E731
    nnx.merge(graph, params)(batch.source, batch.target_in, heads=look)
    return {place: np.array(found) for place, found in seen.items()}


def loss_with(built, place, replaced):
    """The loss when the heads of one place give other numbers."""
    _, graph, params, batch, _ = built
    put = lambda here, found: replaced if here == place else found  # noqa: E731
    logits = nnx.merge(graph, params)(batch.source, batch.target_in, heads=put)
    sums = smoothed_cross_entropy(logits, batch.target_out, batch.weights)
    return float(sums.nll) / float(sums.tokens)


@pytest.mark.parametrize("meaning", ["zero", "mean", "uniform", "resample"])
def test_heads_are_missed_for_what_they_do(built, whole, meaning):
    _, graph, params, batch, named = built
    assert whole < 0.01
    found = losses_without(graph, params, [batch], meaning=meaning)
    assert set(found) == set(CONFIG.every_head())
    assert {head for head, lost in found.items() if lost > 1} == {
        named["previous"],
        named["reader"],
    }
    for name in ("useless", "first"):
        assert found[named[name]] == whole
    if meaning == "uniform":  # what is uniform already stays as it is
        assert found[named["uniform"]] == pytest.approx(whole, rel=1e-5)


def test_one_head_is_enough_if_it_is_the_right_one(built, whole):
    _, graph, params, batch, named = built
    found = losses_with_only(graph, params, [batch])
    assert found[named["previous"]] == pytest.approx(whole, abs=0.01)
    assert found[named["reader"]] == whole
    for wrong in (named["useless"], named["same"], Head("cross", 0, 1)):
        assert found[wrong] > 1


def test_all_heads_at_a_place_can_be_gone(built, outputs):
    _, graph, params, batch, _ = built
    removed = [head for head in CONFIG.every_head() if head.place == CROSS]
    wanted = loss_with(built, CROSS, np.zeros_like(outputs[CROSS]))
    assert losses(graph, params, [batch], [removed])[0] == pytest.approx(wanted, rel=1e-6)


def test_edited_parameters_mean_the_same(built):
    config, graph, params, batch, named = built
    removed = [named["reader"], named["same"]]
    for meaning in ("zero", "uniform"):
        edited = without(params, config, removed, meaning)
        (wanted,) = losses(graph, params, [batch], [removed], meaning=meaning)
        assert ablation.loss(graph, edited, [batch]) == pytest.approx(wanted, rel=1e-6)
    same = jax.tree.map(np.array_equal, params, hand_built()[2])
    assert jax.tree.all(same), "the parameters that went in were changed"


def test_the_mean_is_that_of_real_positions(built, outputs):
    _, graph, params, batch, named = built
    found = mean_outputs(graph, params, [batch])
    for place, given in outputs.items():
        real = (batch.source if place.part == "encoder" else batch.target_out) != 0
        np.testing.assert_allclose(found[place], given[real].mean(0), rtol=1e-4, atol=1e-5)
    replaced = outputs[CROSS].copy()
    replaced[:, :, 0] = found[CROSS][0]
    wanted = loss_with(built, CROSS, replaced)
    lost = losses(graph, params, [batch], [[named["reader"]]], meaning="mean", means=found)
    assert lost[0] == pytest.approx(wanted, rel=1e-5)


def test_resampling_takes_real_positions_of_another_sentence(built, outputs):
    _, graph, params, batch, named = built
    rows = partners(batch, np.random.default_rng(5))
    lengths = (batch.weights != 0).sum(-1)
    replaced = outputs[CROSS].copy()
    for row, other in enumerate(rows):
        for t in range(replaced.shape[1]):
            replaced[row, t, 0] = outputs[CROSS][other, t % lengths[other], 0]
    wanted = loss_with(built, CROSS, replaced)
    options = {"meaning": "resample", "seed": 5}
    found = losses(graph, params, [batch], [[named["reader"]]] * 2, **options)
    assert found[0] == pytest.approx(wanted, rel=1e-6)
    assert found[0] == found[1]


def test_partners_are_other_real_sentences(built):
    batch = jax.tree.map(np.copy, built[3])
    batch.weights[[2, 6]] = 0
    found = partners(batch, np.random.default_rng(0))
    assert list(found[[2, 6]]) == [2, 6]
    real = [0, 1, 3, 4, 5, 7]
    assert sorted(found[real]) == real and all(found[real] != real)


def test_which_head_is_gone_is_data(built):
    _, graph, params, batch, _ = built
    ablation.loss(graph, params, [batch])
    before = compilations()
    one_by_one = losses_without(graph, params, [batch])
    assert compilations() == before
    together = losses_without(graph, params, [batch], together=5)
    assert together == pytest.approx(one_by_one, rel=1e-5, abs=1e-6)
    assert compilations() == before + 1  # twelve heads are two groups of five and one of two


def test_what_cannot_be_ablated_is_refused(built):
    config, graph, params, batch, _ = built
    with pytest.raises(ValueError, match="meaning is 'gone'; one of zero, mean"):
        losses(graph, params, [batch], [[]], meaning="gone")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="no head 4 in layer 0 of 'cross'.*{0: 4}"):
        losses(graph, params, [batch], [[Head("cross", 0, 4)]])
    with pytest.raises(ValueError, match="'mean'; parameters alone can be"):
        without(params, config, [], "mean")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="together is 0"):
        losses(graph, params, [batch], [[]], together=0)
    with pytest.raises(ValueError, match="no token"):
        losses(graph, params, [batch._replace(weights=0 * batch.weights)], [[]])
