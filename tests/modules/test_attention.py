"""The attention module: projections around the functional contract, and nothing else."""

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.functional.masks import Causal
from attention_jax.modules import MultiHeadAttention

X = np.random.default_rng(0).normal(size=(2, 5, 12)).astype(np.float32)
SOURCE = np.random.default_rng(1).normal(size=(2, 7, 12)).astype(np.float32)


def oracle(module, x, source):
    """Loops over heads in float64, from the module's own kernels."""
    names = ("query", "key", "value", "output")
    kernels = [np.asarray(getattr(module, name).kernel[...], np.float64) for name in names]
    query, key, value = x @ kernels[0], source @ kernels[1], source @ kernels[2]
    size = 12 // module.heads
    outputs = []
    for head in range(module.heads):
        group = head * module.groups // module.heads
        mine, shared = (slice(i * size, (i + 1) * size) for i in (head, group))
        logits = query[..., mine] @ key[..., shared].swapaxes(-1, -2) / np.sqrt(size)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        outputs.append(weights / weights.sum(-1, keepdims=True) @ value[..., shared])
    return np.concatenate(outputs, -1) @ kernels[3]


@pytest.mark.parametrize(("heads", "groups"), [(1, None), (4, None), (4, 2), (4, 1)])
def test_agrees_with_a_loop_over_heads(heads, groups):
    module = MultiHeadAttention(12, heads, key_value_heads=groups, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(module(X, SOURCE), oracle(module, X, SOURCE), atol=1e-5)


def test_looking_gives_the_weights_that_reading_uses():
    module = MultiHeadAttention(12, 3, rngs=nnx.Rngs(0))
    weights = module.explain(X, X, mask=Causal())
    value = module.sources(X)[1]
    heads = np.einsum("bhts,bshe->bthe", weights, value).reshape(2, 5, 12)
    np.testing.assert_allclose(module.output(heads), module(X, X, mask=Causal()), atol=1e-5)


def test_fewer_key_value_heads_have_fewer_parameters():
    sizes = []
    for groups in (4, 2, 1):
        module = MultiHeadAttention(12, 4, key_value_heads=groups, rngs=nnx.Rngs(0))
        sizes.append(sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param))))
    assert sizes == [12 * 12 * 4, 12 * 12 * 2 + 12 * 6 * 2, 12 * 12 * 2 + 12 * 3 * 2]


@pytest.mark.parametrize(
    ("heads", "groups", "message"),
    [(5, None, "heads is 5.*12"), (4, 3, "key_value_heads is 3.*4"), (0, None, "heads is 0")],
)
def test_refuses_heads_that_do_not_divide(heads, groups, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(12, heads, key_value_heads=groups, rngs=nnx.Rngs(0))
