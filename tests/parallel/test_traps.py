"""Traps of JAX: each as it is, so that a change is noticed, and beside it what we do instead."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from attention_jax.parallel import replicate
from attention_jax.parallel.layout import Layout, spec

rows = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
weight = np.float32([0.5, -1, 2])


def loss(weight, rows):
    return jnp.mean(jnp.tanh(rows @ weight) ** 2)


TRUE = jax.grad(loss)(jnp.asarray(weight), rows)


def on_a_mesh(gradient, **options):
    """Each device's gradient function, told the weights and its own rows."""
    mesh = Layout(data=8).mesh()
    put = partial(jax.shard_map, mesh=mesh, in_specs=(P(), spec("B D")), out_specs=P())
    return jax.jit(put(gradient, **options))(weight, rows)


def test_the_mean_of_gradients_of_shared_weights_is_their_sum():
    """The trap: what is shared has a gradient that is summed already, and its mean is itself."""

    def mean_of_gradients(weight, rows):
        return jax.lax.pmean(jax.grad(loss)(weight, rows), "data")

    np.testing.assert_allclose(on_a_mesh(mean_of_gradients), 8 * TRUE, rtol=1e-5)
    found = on_a_mesh(mean_of_gradients, check_vma=False)
    np.testing.assert_allclose(found, TRUE, rtol=1e-5)


def test_the_gradient_of_the_mean_is_right():
    def of_the_mean(weight, rows):
        return jax.grad(lambda weight: jax.lax.pmean(loss(weight, rows), "data"))(weight)

    def of_weights_apart(weight, rows):
        apart = jax.lax.pcast(weight, "data", to="varying")
        return jax.lax.pmean(jax.grad(loss)(apart, rows), "data")

    np.testing.assert_allclose(on_a_mesh(of_the_mean), TRUE, rtol=1e-5)
    np.testing.assert_allclose(on_a_mesh(of_weights_apart), TRUE, rtol=1e-5)


def test_pmap_sums_no_gradient_by_itself():
    def mean_of_gradients(weight, rows):
        return jax.lax.pmean(jax.grad(loss)(weight, rows), "data")

    mapped = jax.pmap(mean_of_gradients, "data", in_axes=(None, 0), out_axes=None)
    np.testing.assert_allclose(mapped(weight, rows.reshape(8, 2, 3)), TRUE, rtol=1e-5)


def read(table, tokens):
    return jnp.take(table, tokens, axis=0)


def test_a_mesh_of_explicit_axes_has_no_embeddings():
    """The trap: the axes of `jax.make_mesh` are Explicit, and a gather by them is an error."""
    mesh = jax.make_mesh((8,), ("model",))
    assert mesh.axis_types == (AxisType.Explicit,)
    table = jax.device_put(np.ones((16, 4), np.float32), NamedSharding(mesh, P("model")))
    tokens = jax.device_put(np.zeros((8, 2), int), NamedSharding(mesh, P("model")))
    with pytest.raises(Exception, match="out sharding could not be resolved") as caught:
        jax.jit(read)(table, tokens)
    assert caught.type.__name__ == "ShardingTypeError"  # JAX gives it no public name


def test_a_mesh_of_ours_has_them():
    mesh = Layout(data=2, fsdp=2, model=2).mesh()
    assert set(mesh.axis_types) == {AxisType.Auto}
    table, tokens = np.arange(64, dtype=np.float32).reshape(16, 4), np.arange(8).reshape(4, 2)
    cut = jax.device_put(table, NamedSharding(mesh, spec("V D")))
    placed = jax.device_put(tokens, NamedSharding(mesh, spec("B T")))
    found = jax.jit(read)(cut, placed)
    np.testing.assert_array_equal(found, table[tokens])
    wanted, got = (jax.grad(lambda x, of=of: (read(x, of) ** 2).sum()) for of in (tokens, placed))
    np.testing.assert_array_equal(jax.jit(got)(cut), wanted(table))


def test_pmap_refuses_an_array_that_lies_on_one_device():
    """The trap: so it refuses what came of any other computation that was given its place."""
    lone = jax.device_put(np.ones((8, 3, 1, 2), np.float32), jax.devices()[0])
    with pytest.raises(ValueError, match="does not match the sharding"):
        jax.pmap(jnp.sin)(lone)
    np.testing.assert_allclose(replicate.attend(lone, lone, lone), lone)
