"""Cells and their scan against loops, against plain automatic differentiation, and their edges."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional.recur import recur, turned
from attention_jax.functional.recurrence import elman, gru, gru_before, lstm
from tests.functional import recurrence_oracle as oracle

B, T, K = 4, 6, 5
LENGTHS = np.array([6, 3, 1, 0])
STARTS = np.array([[1, 0, 1, 0, 0, 1], [0, 0, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 1, 0]])
STARTS = STARTS.astype(bool)
WAYS = {
    "forwards": {},
    "backwards": {"reverse": True},
    "packed": {"lengths": LENGTHS},
    "packed, backwards": {"lengths": LENGTHS, "reverse": True},
    "behind one another": {"starts": STARTS},
    "behind one another, backwards": {"starts": STARTS, "reverse": True},
    "all at once": {"lengths": LENGTHS, "starts": STARTS, "reverse": True},
}
CELLS = tuple(oracle.CELLS)
CASES = [(cell, "all at once") for cell in CELLS] + [("lstm", way) for way in WAYS]


def take(cell, times, shift, state, x):
    """A step of each cell, with a constant beside the kernels."""
    recurrent = partial(times, "u")
    x = x + shift[None]
    if cell == "lstm":
        state = lstm(x, state, recurrent)
        return state, state[0]
    if cell == "gru_before":
        hidden = gru_before(x, state, partial(times, "gates"), partial(times, "candidate"))
    else:
        hidden = {"elman": elman, "gru": gru}[cell](x, state, recurrent)
    return hidden, hidden


def arrays_of(cell):
    """(kernels, shift, state, inputs), and what the loops call the kernels."""
    rng = np.random.default_rng(0)
    gates = oracle.CELLS[cell][1]
    u = rng.normal(size=(K, gates * K)) * K**-0.5
    kernels = {"u": u}
    if cell == "gru_before":
        kernels = {"gates": u[:, : 2 * K], "candidate": u[:, 2 * K :]}
    shift, inputs = rng.normal(size=gates * K), rng.normal(size=(B, T, gates * K))
    state = rng.normal(size=(2, B, K)) * 0.5
    state = (state[0], state[1]) if cell == "lstm" else state[0]
    return (kernels, shift, state, inputs), {"u": u}


def same(found, wanted, tolerance):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), found, wanted
    )


@pytest.mark.parametrize(("cell", "way"), dict.fromkeys(CASES))
def test_cells_in_the_scan_agree_with_loops(cell, way):
    (kernels, shift, state, inputs), weights = arrays_of(cell)
    wanted = oracle.recur(cell, inputs + shift, state, weights, **WAYS[way])
    with jax.enable_x64(True):
        found = recur(partial(take, cell), kernels, shift, state, inputs, **WAYS[way])
        same(found, wanted, 1e-12)


@pytest.mark.parametrize(
    ("cell", "way"), [("lstm", "forwards"), *((cell, "all at once") for cell in CELLS)]
)
def test_gradients_are_those_of_a_scan_left_to_itself(cell, way):
    arrays, _ = arrays_of(cell)
    pull = np.random.default_rng(1).normal(size=(B, T, K))

    def value(arrays, hoist):
        final, outputs = recur(partial(take, cell), *arrays, **WAYS[way], hoist=hoist)
        return (outputs * pull).sum() + sum((leaf * 0.7).sum() for leaf in jax.tree.leaves(final))

    def slopes(arrays):
        return tuple(jax.grad(partial(value, hoist=hoist))(arrays) for hoist in (True, False))

    with jax.enable_x64(True):
        found, wanted = jax.jit(slopes)(arrays)
        assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(wanted))
        same(found, wanted, 1e-11)


def one_kernel_twice(times, scale, state, x):
    """Two products with one kernel, one of them never used for the output, and a pytree state."""
    hidden, count = state
    hidden = jnp.tanh(times("u", hidden) + x["in"] * scale)
    hidden = jnp.tanh(times("u", hidden) * x["gate"])
    return (hidden, count + 1), {"hidden": hidden, "count": count, "spare": times("spare", hidden)}


def test_a_kernel_may_be_used_twice_and_one_not_at_all():
    rng = np.random.default_rng(2)
    kernels = {"u": rng.normal(size=(K, K)), "spare": rng.normal(size=(K, 3))}
    kernels["idle"] = rng.normal(size=(2, 2))
    state = rng.normal(size=(B, K)), jnp.zeros((B, 1), jnp.int32)
    inputs = {"in": rng.normal(size=(B, T, K)), "gate": rng.normal(size=(B, T, K))}

    def value(kernels, scale, inputs, hoist):
        (hidden, _), outputs = recur(
            one_kernel_twice, kernels, scale, state, inputs, lengths=LENGTHS, hoist=hoist
        )
        return hidden.sum() + (outputs["hidden"] ** 2).sum()

    def slopes(*arrays):
        return tuple(
            jax.grad(partial(value, hoist=hoist), argnums=(0, 1, 2))(*arrays)
            for hoist in (True, False)
        )

    with jax.enable_x64(True):
        found, wanted = jax.jit(slopes)(kernels, 1.5, inputs)
        same(found, wanted, 1e-12)
        assert np.asarray(found[0]["u"]).any() and not np.asarray(found[0]["idle"]).any()
        _, outputs = recur(one_kernel_twice, kernels, 1.5, state, inputs, lengths=LENGTHS)
        np.testing.assert_array_equal(outputs["count"][0, :, 0], range(T))


@pytest.mark.parametrize("filling", [np.nan, np.inf])
def test_what_stands_past_a_rows_length_influences_nothing(filling):
    cell = "lstm"
    (kernels, shift, state, inputs), _ = arrays_of(cell)
    filled = np.where((np.arange(T) < LENGTHS[:, None])[..., None], inputs, filling)

    def value(kernels, inputs):
        final, outputs = recur(partial(take, cell), kernels, shift, state, inputs, lengths=LENGTHS)
        return outputs.sum() + sum(leaf.sum() for leaf in jax.tree.leaves(final)), outputs

    slope = jax.jit(jax.value_and_grad(value, argnums=(0, 1), has_aux=True))
    with jax.enable_x64(True):
        plain, found = slope(kernels, inputs), slope(kernels, filled)
        jax.tree.map(np.testing.assert_array_equal, found, plain)
        (_, outputs), (_, d_inputs) = plain
        for row, length in enumerate(LENGTHS):
            assert not np.asarray(outputs[row, length:]).any()
            assert not np.asarray(d_inputs[row, length:]).any()


def test_a_row_of_no_positions_keeps_its_state():
    (kernels, shift, state, inputs), _ = arrays_of("gru")
    final, _ = recur(partial(take, "gru"), kernels, shift, state, inputs, lengths=LENGTHS)
    np.testing.assert_array_equal(final[3], state[3].astype(np.float32))


def test_sequences_behind_one_another_are_as_if_alone():
    (kernels, shift, state, inputs), _ = arrays_of("lstm")
    starts = np.arange(T)[None] == np.full((B, 1), 3)
    read = jax.jit(
        partial(recur, partial(take, "lstm"), kernels, shift, state), static_argnames="reverse"
    )
    for reverse in (False, True):
        _, joined = read(inputs, starts=starts, reverse=reverse)
        for part in (slice(0, 3), slice(3, T)):
            _, alone = read(inputs[:, part], reverse=reverse)
            np.testing.assert_allclose(joined[:, part], alone, atol=1e-6)


def test_outputs_and_gradients_keep_the_dtype():
    arrays = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), arrays_of("lstm")[0])

    @jax.jit
    def read(arrays):
        found, back = jax.vjp(lambda arrays: recur(partial(take, "lstm"), *arrays), arrays)
        return found, back(found)

    found, gradients = read(arrays)
    wanted, _ = read(jax.tree.map(np.float32, arrays))
    assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves((found, gradients)))
    same(jax.tree.map(np.float32, found), wanted, 0.03)


def test_vmap_over_kernels_is_one_after_another():
    (kernels, shift, state, inputs), _ = arrays_of("gru")
    two = jax.tree.map(lambda x: np.stack([x, -x]), kernels)

    def slope(kernels):
        return jax.grad(
            lambda kernels: recur(partial(take, "gru"), kernels, shift, state, inputs)[1].sum()
        )(kernels)

    slope = jax.jit(slope)
    each = [slope(jax.tree.map(lambda x, i=i: x[i], two)) for i in range(2)]
    same(jax.jit(jax.vmap(slope))(two), jax.tree.map(lambda *x: np.stack(x), *each), 1e-5)


def test_forward_mode_where_the_gradients_are_left_to_the_scan():
    arrays, _ = arrays_of("gru")

    def outputs(arrays, hoist=False):
        return recur(partial(take, "gru"), *arrays, hoist=hoist)[1].sum()

    with jax.enable_x64(True):
        _, slope = jax.jit(partial(jax.jvp, outputs))((arrays,), (arrays,))
        gradient = jax.jit(jax.grad(partial(outputs, hoist=True)))(arrays)
        along = jax.tree.map(lambda x, d: (x * d).sum(), arrays, gradient)
        np.testing.assert_allclose(slope, sum(jax.tree.leaves(along)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lengths": np.array([1, 2])}, ["lengths", "[2]", "[4]"]),
        ({"starts": STARTS[:, 1:]}, ["starts", "[4, 5]", "[4, 6]"]),
        ({"state": np.zeros((3, K))}, ["state", "[3]", "B = 4"]),
        ({"inputs": np.zeros(K)}, ["inputs", "[B, T, ...]"]),
        ({"inputs": ()}, ["inputs", "[B, T, ...]"]),
    ],
)
def test_arrays_that_do_not_agree_are_named(change, words):
    (kernels, shift, state, inputs), _ = arrays_of("gru")
    arguments = {"constants": shift, "state": state, "inputs": inputs} | change
    with pytest.raises(ValueError) as error:
        recur(partial(take, "gru"), kernels, **arguments)
    assert all(word in str(error.value) for word in words)


def test_turned_leaves_what_stands_past_a_rows_length():
    rows = np.array([[1, 2, 3, 9], [4, 9, 8, 7]])
    found = turned(jnp.asarray(rows), jnp.array([3, 1]))
    np.testing.assert_array_equal(found, [[3, 2, 1, 9], [4, 9, 8, 7]])
    pairs = np.stack([rows, -rows], axis=-1)
    np.testing.assert_array_equal(turned(jnp.asarray(pairs), jnp.array([3, 1]))[..., 1], -found)
    np.testing.assert_array_equal(turned(found, jnp.array([3, 1])), rows)
