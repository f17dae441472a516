"""The Transformer with another score, and what its logits are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.analysis.logit_statistics import logit_statistics, logit_sums
from attention_jax.analysis.scored import SCORES, ScoredAttention, scored
from attention_jax.data import Batch
from attention_jax.functional.masks import Lengths
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.step import split

CONFIG = TransformerConfig(
    vocabulary=23, width=16, encoder_layers=1, decoder_layers=1, heads=2, feed_forward=8,
    dropout=0.0, norm="pre",
)  # fmt: skip
RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(2, 4, 16)).astype(np.float32)
SOURCE = RANDOM.normal(size=(2, 5, 16)).astype(np.float32)
TOKENS = RANDOM.integers(3, 23, (3, 6)).astype(np.int32)
BATCH = Batch(TOKENS, TOKENS, TOKENS, np.ones(TOKENS.shape, np.float32))


def by_hand(attention, row, source, place):
    """The logit of one query and one source, as the papers write it."""
    q = np.asarray(attention.query.kernel).T @ row
    k = np.asarray(attention.key.kernel).T @ source
    weight = {
        name: np.asarray(getattr(attention, name))
        for name in ("weight", "v")
        if hasattr(attention, name)
    }
    match attention.name:
        case "dot":
            return q @ k
        case "scaled_dot":
            return q @ k / np.sqrt(len(q))
        case "general":
            return q @ weight["weight"] @ k
        case "additive":
            return weight["v"] @ np.tanh(q + k)
        case "concat":
            return weight["v"] @ np.tanh(np.concatenate([q, k]) @ weight["weight"])
        case "location":
            return weight["weight"][place] @ q


@pytest.mark.parametrize("name", SCORES)
def test_logits_are_those_of_the_papers_and_weights_their_softmax(name):
    attention = ScoredAttention(16, name, 6, longest=5, rngs=nnx.Rngs(0))
    weights = attention.explain(ROWS, SOURCE)
    attention.shows_logits = True
    logits = np.asarray(attention.explain(ROWS, SOURCE))[:, 0]
    for b, t, s in np.ndindex(2, 4, 5):
        wanted = by_hand(attention, ROWS[b, t], SOURCE[b, s], s)
        np.testing.assert_allclose(logits[b, t, s], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(weights[:, 0], jax.nn.softmax(logits), rtol=1e-5, atol=1e-6)
    values = SOURCE @ np.asarray(attention.value.kernel)
    read = np.asarray(weights)[:, 0] @ values @ np.asarray(attention.output.kernel)
    np.testing.assert_allclose(attention(ROWS, SOURCE), read, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [pytest.param("additive", marks=pytest.mark.slow), "location"])
def test_writing_one_by_one_gives_the_logits_of_reading_at_once(name):
    model = scored(CONFIG, name, 6, longest=6, rngs=nnx.Rngs(0))
    wanted, cache = model(TOKENS, TOKENS), model.start(TOKENS, 3)
    for at in range(3):
        found, cache = model.step(cache, TOKENS[:, at])
        np.testing.assert_allclose(found, wanted[:, at], rtol=1e-4, atol=1e-5)


def test_impossible_scores_are_refused():
    with pytest.raises(ValueError, match="score is 'cosine'; one of additive, dot"):
        ScoredAttention(16, "cosine", 6, longest=5, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="size is 0"):
        ScoredAttention(16, "dot", 0, longest=5, rngs=nnx.Rngs(0))
    model = scored(CONFIG, "location", 6, longest=5, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="5 rows for 6 sources"):
        model(TOKENS, TOKENS)


def test_sums_are_those_of_a_plain_loop_and_padding_influences_nothing():
    logits = RANDOM.normal(size=(2, 3, 4, 5)).astype(np.float32) * 3
    queries, sources = np.ones((2, 4), bool), np.ones((2, 5), bool)
    queries[0, 2:], sources[1, 3:] = False, False
    real = (queries[:, :, None] & sources[:, None])[:, None]
    spoilt = np.where(real, logits, np.nan)
    sums, count = logit_sums(spoilt, queries, sources)
    wanted = {name: np.zeros(3) for name in sums}
    for b, h, t in np.ndindex(2, 3, 4):
        if queries[b, t]:
            row = logits[b, h, t, sources[b]].astype(np.float64)
            weights = np.exp(row) / np.exp(row).sum()
            entropy = -(weights * np.log(weights)).sum()
            wanted["variance"][h] += row.var()
            wanted["entropy"][h] += entropy
            wanted["evenness"][h] += entropy / np.log(len(row))
            wanted["largest"][h] += weights.max()
    assert count == queries.sum()
    for name in sums:
        np.testing.assert_allclose(sums[name], wanted[name], rtol=1e-5)


def test_a_query_that_sees_one_source_does_not_count():
    sources = np.arange(5)[None] < np.array([[1], [3]])
    sums, count = logit_sums(np.ones((2, 1, 4, 5), np.float32), np.ones((2, 4), bool), sources)
    assert count == 4
    np.testing.assert_allclose(sums["evenness"], [4.0], rtol=1e-6)


def test_unscaled_products_spread_with_their_width_and_others_do_not():
    def spread(name, size):
        graph, params = split(scored(CONFIG, name, size, longest=6, rngs=nnx.Rngs(1)))
        (found,) = logit_statistics(graph, params, [BATCH, BATCH])
        assert 0 < found["evenness"] <= 1
        return found["variance"]

    assert 8 < spread("dot", 512) / spread("dot", 16) < 100
    assert 0.2 < spread("additive", 512) / spread("additive", 16) < 5


def test_statistics_need_a_scored_model_and_two_sources():
    graph, params = split(Transformer(CONFIG, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="one of `scored` would fit"):
        logit_statistics(graph, params, [BATCH])
    graph, params = split(scored(CONFIG, "dot", 4, longest=6, rngs=nnx.Rngs(0)))
    short = Batch(TOKENS[:, :1], TOKENS[:, :1], TOKENS[:, :1], BATCH.weights[:, :1])
    with pytest.raises(ValueError, match="sees two sources"):
        logit_statistics(graph, params, [short])


def test_masked_sources_are_shown_as_minus_infinity():
    attention = ScoredAttention(16, "dot", 6, longest=5, rngs=nnx.Rngs(0))
    attention.shows_logits = True
    logits = attention.explain(ROWS, SOURCE, mask=Lengths(jnp.array([5, 2])))
    assert np.isneginf(logits[1, 0, :, 2:]).all()
    assert np.isfinite(logits[0]).all()
