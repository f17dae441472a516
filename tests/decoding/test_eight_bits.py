"""Models with eight-bit matrices: nearly what they say with floats."""

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.decoding.eight_bits import quantized
from attention_jax.functional.quantized import Quantized
from tests.models.family import FAMILY, build

SOURCE = np.array([[3, 9, 4, 22, 0], [7, 5, 0, 0, 0]], np.int32)
TARGET = np.array([[1, 6, 8], [1, 11, 12]], np.int32)


@pytest.mark.parametrize("name", ["transformer", "marian", "t5", "decoder_only"])
def test_logits_stay_near(name):
    model = build(FAMILY[name])
    graph, params = nnx.split(model, nnx.Param)
    small = quantized(graph, params)

    @jax.jit
    def logits(params):
        model = nnx.merge(graph, params)
        cache = model.start(SOURCE, 2)
        return model(SOURCE, TARGET), model.step(cache, TARGET[:, 0])[0]

    for exact, found in zip(logits(params), logits(small), strict=True):
        off = np.abs(np.asarray(exact) - np.asarray(found))
        assert 0 < off.max() < 0.05 * np.abs(exact).max()


def test_what_is_no_matrix_stays_as_it_is():
    model = build(FAMILY["marian"])
    graph, params = nnx.split(model, nnx.Param)
    small = quantized(graph, nnx.to_pure_dict(params))  # nested dicts, as a run has them
    assert isinstance(small["decoder"][0]["cross"]["key"]["kernel"], Quantized)
    assert not isinstance(small["output_bias"], Quantized)
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(small))
    assert held < 0.4 * sum(leaf.nbytes for leaf in jax.tree.leaves(params))
