"""The memory network of LSTMs against the paper, and what its two fusions change."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.intra_attention import IntraAttention, IntraAttentionConfig
from attention_jax.models.places import Place
from attention_jax.training.step import split
from tests.models import intra_oracle

SMALL = IntraAttentionConfig(vocabulary=23, width=8)
VARIANTS = {
    "shallow, two layers": replace(SMALL, layers=2, embedding=6),
    "deep, two layers": replace(SMALL, fusion="deep", layers=2, attention=5, tied=True),
}
SOURCE = np.array([[5, 6, 7, 8, 2], [9, 4, 2, 0, 0]], np.int32)
TARGET = np.array([[1, 11, 12, 13], [1, 14, 15, 3]], np.int32)


def build(config):
    """A model whose every parameter counts, biases too, and which nothing is compiled for."""
    graph, structs = split(nnx.eval_shape(lambda: IntraAttention(config, rngs=nnx.Rngs(0))))
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: np.float32(0.3 * random.normal(size=x.shape)), structs)
    return nnx.merge(graph, jax.tree.map(jnp.asarray, params))


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS)
def model(request):
    return build(request.param)


def test_logits_and_weights_are_the_oracles(model):
    logits, found = jax.jit(lambda s, t: model(s, t, explain=lambda _, w: w))(SOURCE, TARGET)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), split(model)[1])
    for row, length in enumerate((5, 3)):
        wanted, weights = intra_oracle.logits(
            model.config, params, SOURCE[row, :length], TARGET[row]
        )
        np.testing.assert_allclose(logits[row], wanted, atol=1e-5)
        assert sorted(weights) == sorted(found)
        for place, read in weights.items():
            one = found[Place(*place)][row, 0]
            np.testing.assert_allclose(one[: len(read), : read.shape[1]], read, atol=1e-5)
            if place[0] != "decoder":
                assert (one[:, length:] == 0).all()


def test_a_decoder_begins_with_what_the_encoder_ended_on():
    model = build(SMALL)
    three = model.source_embedding.embed(SOURCE[:, :3])
    tape, _ = jax.jit(lambda: model.encoder[0](three, jnp.zeros((2, 16))))()
    cache = jax.jit(lambda: model.start(SOURCE, 2))()
    np.testing.assert_allclose(cache.starts[0][1], tape.memory[1, 2], atol=1e-6)
    changed = cache._replace(starts=(cache.starts[0].at[0].add(1.0),))
    step = jax.jit(lambda cache: model.step(cache, TARGET[:, 0])[0])
    plain, other = step(cache), step(changed)
    assert not np.allclose(plain[0], other[0])
    np.testing.assert_array_equal(plain[1], other[1])


def test_deep_fusion_changes_what_the_decoder_remembers_and_shallow_does_not():
    for fusion, changes in (("deep", True), ("shallow", False)):
        model = build(replace(SMALL, fusion=fusion))
        cache = jax.jit(lambda model=model: model.start(SOURCE, 2))()
        source = cache.sources[0]._replace(memory=cache.sources[0].memory + 1)
        step = jax.jit(lambda cache, model=model: model.step(cache, TARGET[:, 0])[1])
        plain, other = step(cache), step(cache._replace(sources=(source,)))
        assert np.allclose(plain.tapes[0].memory, other.tapes[0].memory) != changes
