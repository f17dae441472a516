"""A stack of recurrent layers against loops, its own steps, and what it must leave alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.functional.recur import recur
from attention_jax.modules.recurrent import GATES, Recurrent
from tests.functional import recurrence_oracle as oracle

B, T, D, K = 3, 5, 4, 6
X = np.random.default_rng(0).normal(size=(B, T, D)).astype(np.float32)
LENGTHS = np.array([5, 1, 3])


def made(**options):
    """A stack whose biases are not zero."""
    stack = Recurrent(D, K, rngs=nnx.Rngs(0), **options)
    rng = np.random.default_rng(1)
    for layer in [*stack.forward, *(stack.backward or [])]:
        for bias in (layer.inputs.bias, layer.shift):
            if bias is not None:
                bias[...] = jnp.asarray(rng.normal(size=bias[...].shape), jnp.float32)
    return stack


def compiled(stack):
    graph, params = nnx.split(stack)
    read = jax.jit(lambda params, *a, **how: nnx.merge(graph, params)(*a, **how))
    return partial(read, params)


def both(*parts):
    return np.concatenate(parts, axis=-1)


def one_by_loops(layer, x, lengths, reverse):
    """What the equations give for one layer in one direction."""
    weights = {"u": np.asarray(layer.recurrent[...], np.float64)}
    if layer.candidate is not None:
        weights["u"] = both(weights["u"], layer.candidate[...])
    if layer.shift is not None:
        weights["shift"] = np.asarray(layer.shift[...])
    zeros = np.zeros((len(x), K))
    state = (zeros, zeros) if layer.cell == "lstm" else zeros
    inputs = x @ np.asarray(layer.inputs.kernel[...]) + np.asarray(layer.inputs.bias[...])
    return oracle.recur(layer.cell, inputs, state, weights, lengths=lengths, reverse=reverse)


def by_loops(stack, x, lengths):
    finals = []
    for i, layer in enumerate(stack.forward):
        final, ahead = one_by_loops(layer, x, lengths, False)
        if stack.backward:
            other, behind = one_by_loops(stack.backward[i], x, lengths, True)
            final, ahead = jax.tree.map(both, (final, ahead), (other, behind))
        x = ahead
        finals.append(final)
    return x, tuple(finals)


@pytest.mark.parametrize(
    ("cell", "bidirectional"), [("lstm", False), *((cell, True) for cell in GATES)]
)
def test_layers_agree_with_loops(cell, bidirectional):
    stack = made(cell=cell, layers=2, bidirectional=bidirectional)
    found = compiled(stack)(X, LENGTHS)
    wanted = by_loops(stack, X.astype(np.float64), LENGTHS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, wanted)
    assert found[0].shape == (B, T, (1 + bidirectional) * K) and len(found[1]) == 2


@pytest.mark.parametrize("cell", GATES)
def test_steps_give_what_the_whole_gives(cell):
    graph, params = nnx.split(made(cell=cell, layers=2))
    step = jax.jit(lambda state, x: nnx.merge(graph, params).step(state, x))
    stack = nnx.merge(graph, params)
    whole, finals = stack(X)
    state = stack.start(B)
    for t in range(T):
        state, output = step(state, X[:, t])
        np.testing.assert_allclose(output, whole[:, t], atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), state, finals)


def test_a_loop_that_holds_the_stack_has_its_gradients():
    stack = made(cell="gru", layers=2)
    graph, params = nnx.split(stack)

    def apart(params):
        outputs, _ = nnx.merge(graph, params)(X)
        return (outputs**2).sum()

    def inside(params):
        stack = nnx.merge(graph, params)
        _, outputs = recur(stack.advance, stack.kernels(), stack.constants(), stack.start(B), X)
        return (outputs**2).sum()

    wanted, found = jax.jit(lambda params: (jax.grad(apart)(params), jax.grad(inside)(params)))(
        params
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found, wanted)
    assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(found))


def test_a_state_carries_on_where_another_ended():
    read = compiled(made(cell="lstm", layers=2))
    whole, finals = read(X[:, :4])
    _, half = read(X[:, :2])
    rest, ends = read(X[:, 2:4], state=half)
    np.testing.assert_allclose(rest, whole[:, 2:], atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ends, finals)


def test_dropout_stands_between_layers_only():
    read = compiled(made(cell="elman", layers=2, dropout=0.5))
    key = jax.random.key(0)
    (dropped, finals), (plain, wanted) = read(X, rng=key), read(X)
    np.testing.assert_array_equal(dropped, read(X, rng=key)[0])
    assert not np.allclose(dropped, plain)
    np.testing.assert_array_equal(finals[0], wanted[0])  # the lowest layer's
    one = made(cell="elman", dropout=0.5)
    np.testing.assert_array_equal(one(X, rng=key)[0], one(X)[0])


def test_gates_start_glorot_uniform_and_an_lstm_remembering():
    layer = Recurrent(30, 20, cell="lstm", rngs=nnx.Rngs(0)).forward[0]
    for kernel, size in ((layer.inputs.kernel, 30), (layer.recurrent, 20)):
        limit = (6 / (size + 20)) ** 0.5
        assert 0.98 * limit < np.abs(kernel[...]).max() <= limit
    np.testing.assert_array_equal(layer.inputs.bias[...], np.repeat([0, 1, 0, 0], 20))


def test_a_bidirectional_stack_has_no_step():
    stack = made(bidirectional=True)
    with pytest.raises(ValueError, match="needs all positions"):
        stack.step(stack.start(B), X[:, 0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cell": "rnn"}, ["cell is 'rnn'", "elman", "lstm"]),
        ({"layers": 0}, ["layers is 0", "at least 1"]),
        ({"width": 0}, ["width is 0"]),
        ({"inputs": -1}, ["inputs is -1"]),
    ],
)
def test_impossible_stacks_are_refused(change, words):
    with pytest.raises(ValueError) as error:
        Recurrent(**{"inputs": D, "width": K, "rngs": nnx.Rngs(0)} | change)
    assert all(word in str(error.value) for word in words)
