"""Feed-forward networks against their equations."""

import math

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.modules import GatedFeedForward, GeluFeedForward

X = np.random.default_rng(0).normal(size=(2, 5, 12)).astype(np.float32)


def affine(x, map):
    product = x @ np.asarray(map.kernel[...], np.float64)
    return product if map.bias is None else product + np.asarray(map.bias[...], np.float64)


def gelu(x):
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def filled(module):
    """With biases that are not zero, where it has any."""
    for map in vars(module).values():
        if getattr(map, "bias", None) is not None:
            map.bias[...] = jax.random.normal(jax.random.key(1), map.bias[...].shape)
    return module


@pytest.mark.parametrize("bias", [True, False])
def test_gelu_network_agrees_with_its_equation(bias):
    module = filled(GeluFeedForward(12, 20, bias=bias, rngs=nnx.Rngs(0)))
    wanted = affine(gelu(affine(X.astype(np.float64), module.expand)), module.contract)
    np.testing.assert_allclose(module(X), wanted, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_gated_network_agrees_with_its_equation(bias):
    module = filled(GatedFeedForward(12, 20, bias=bias, rngs=nnx.Rngs(0)))
    x = X.astype(np.float64)
    gate = affine(x, module.gate)
    wanted = affine(gate / (1 + np.exp(-gate)) * affine(x, module.expand), module.contract)
    np.testing.assert_allclose(module(X), wanted, atol=1e-5)


def test_a_gate_that_is_shut_lets_nothing_through():
    module = GatedFeedForward(12, 20, rngs=nnx.Rngs(0))
    module.gate.kernel[...] = module.gate.kernel[...] * 0
    np.testing.assert_array_equal(module(X), 0)
