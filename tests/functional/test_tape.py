"""Recurrence over a tape against a plain loop, and its backward pass against the scan's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional import additive, softmax, weigh
from attention_jax.functional.recurrence import lstm
from attention_jax.functional.tape import fused_lstm, record, write

B, T, D, K = 2, 3, 3, 4
RANDOM = np.random.default_rng(0)


def draw(*shape):
    return RANDOM.normal(size=shape)


KERNELS = {"query": draw(D, K), "once": draw(K, K), "unused": draw(K, 2)}
CONSTANTS = {"v": draw(K), "count": np.array([2, 3]), "beside": None}
INPUTS = {"x": draw(B, T, D)}
EMPTY = {"rows": np.zeros((B, T, K))}


def step(times, constants, tape, state, now, position):
    """Reads the tape by attention, one kernel twice; a whole number takes part."""
    query = times("query", now["x"]) + times("once", state)
    keys = tape["rows"][:, :, None]
    logits = additive(query[:, None, None], keys, v=constants["v"])
    read = weigh(softmax(logits, jnp.arange(tape["rows"].shape[1]) < position), keys)[:, 0, 0]
    entry = jnp.tanh(times("once", read) + query * constants["count"][:, None])
    return {"rows": entry}, jnp.sin(entry) + read


def by_loop(kernels, constants, state, inputs):
    tape, states = jax.tree.map(jnp.asarray, EMPTY), []
    for t in range(inputs["x"].shape[1]):
        now = {"x": inputs["x"][:, t]}
        times = lambda name, rows: rows @ kernels[name]  # noqa: E731
        entry, state = step(times, constants, tape, state, now, t)
        tape = write(tape, entry, t)
        states.append(state)
    return tape, jnp.stack(states, 1)


def recorded(kernels, constants, state, inputs):
    return record(step, kernels, constants, EMPTY, state, inputs)


@pytest.fixture
def wide():
    with jax.enable_x64(True):
        yield jax.tree.map(jnp.asarray, (KERNELS, CONSTANTS, draw(B, K), INPUTS))


def test_every_step_reads_what_was_written_before_it(wide):
    found, wanted = jax.jit(recorded)(*wide), jax.jit(by_loop)(*wide)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), found, wanted)


def test_gradients_are_those_of_the_loop(wide):
    weights = draw(2, B, T, K)

    def of(run):
        def total(kernels, v, state, inputs):
            tape, states = run(kernels, {**wide[1], "v": v}, state, inputs)
            return (tape["rows"] * weights[0] + states * weights[1]).sum()

        return jax.jit(jax.grad(total, (0, 1, 2, 3)))(wide[0], wide[1]["v"], wide[2], wide[3])

    found, wanted = of(recorded), of(by_loop)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-11), found, wanted)
    assert all(jnp.abs(leaf).max() > 0.01 for name, leaf in found[0].items() if name != "unused")


def test_many_kernels_may_be_mapped_over(wide):
    kernels, constants, state, inputs = wide
    several = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), kernels)

    @jax.jit
    def slope(kernels):
        return jax.grad(lambda k: recorded(k, constants, state, inputs)[1].sum())(kernels)

    found = jax.jit(jax.vmap(slope))(several)
    for n in range(2):
        wanted = slope(jax.tree.map(lambda x, n=n: x[n], several))
        one = jax.tree.map(lambda x, n=n: x[n], found)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-11), one, wanted)


def test_the_backward_pass_keeps_one_tape():
    steps, width = 64, 32
    args = {"q": jnp.ones((D, width)), "o": jnp.ones((width, width))}
    inputs = {"x": jnp.ones((B, steps, D))}

    def total(kernels):
        named = {"query": kernels["q"], "once": kernels["o"]}
        constants = {"v": jnp.ones(width), "count": jnp.ones(B, int)}
        empty = {"rows": jnp.zeros((B, steps, width))}
        return record(step, named, constants, empty, jnp.zeros((B, width)), inputs)[1].sum()

    held = jax.jit(jax.grad(total)).lower(args).compile().memory_analysis().temp_size_in_bytes
    tape = 4 * B * steps * width
    assert held < 24 * tape  # one for each position would be 64 and more


def test_a_fused_lstm_adds_to_the_memory():
    inputs, hidden, cell, more, kernel = (
        draw(2, 16),
        draw(2, 4),
        draw(2, 4),
        draw(2, 4),
        draw(4, 16),
    )
    plain = lstm(inputs, (hidden, cell), lambda h: h @ kernel)
    same = fused_lstm(inputs, (hidden, cell), lambda h: h @ kernel, np.zeros_like(more))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), same, plain)
    found, memory = fused_lstm(inputs, (hidden, cell), lambda h: h @ kernel, more)
    np.testing.assert_allclose(memory, plain[1] + more, atol=1e-6)
    leave = 1 / (1 + np.exp(-(inputs + hidden @ kernel)[:, 12:]))
    np.testing.assert_allclose(found, leave * np.tanh(memory), atol=1e-6)
