"""Products of bfloat16 rows: float32 sums, rounded once, forward and backward."""

import jax
import jax.numpy as jnp
import numpy as np

from attention_jax.functional.layers import dense
from attention_jax.functional.narrow import narrow_product

DRAW = np.random.default_rng(0)
ROWS, KERNEL, D_OUTPUT = (
    jnp.asarray(DRAW.normal(size=shape), jnp.bfloat16) for shape in ((33, 300), (300, 7), (33, 7))
)


def near(found, exact):
    """One rounding to bfloat16 (2⁻⁹ of the number) and float32's own in sums."""
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(found, np.float64), exact, rtol=2**-8, atol=1e-4)


def test_product_and_gradients_are_float64s_rounded_once():
    output, back = jax.vjp(narrow_product, ROWS, KERNEL)
    rows, kernel, d_output = (np.asarray(x, np.float64) for x in (ROWS, KERNEL, D_OUTPUT))
    for mine, exact in zip(
        (output, *back(D_OUTPUT)),
        (rows @ kernel, d_output @ kernel.T, rows.T @ d_output),
        strict=True,
    ):
        near(mine, exact)


def test_sums_do_not_stop_where_bfloat16_has_no_next_number():
    rows = jnp.ones((1, 4096), jnp.bfloat16)  # in bfloat16, 256 + 1 is 256
    assert narrow_product(rows, rows.T) == 4096
    ones = jnp.ones((4096, 1), jnp.bfloat16)
    gradient = jax.grad(lambda kernel: narrow_product(ones, kernel).astype(jnp.float32).sum())
    assert gradient(jnp.ones((1, 1), jnp.bfloat16)) == 4096


def test_dense_has_the_same_and_maps_over_members():
    kernels = jnp.stack([KERNEL, -KERNEL])

    def cost(kernel):
        return (dense(ROWS[None], kernel)[0] * D_OUTPUT).astype(jnp.float32).sum()

    found = jax.jit(jax.vmap(jax.grad(cost)))(kernels)
    for gradient in found:
        near(gradient, np.asarray(ROWS, np.float64).T @ np.asarray(D_OUTPUT, np.float64))


def test_rows_over_devices_give_what_one_device_gives():
    mesh = jax.sharding.Mesh(jax.devices()[:4], ("data",))
    by_rows = jax.NamedSharding(mesh, jax.P("data"))
    rows, d_output = jnp.tile(ROWS, (4, 1)), jnp.tile(D_OUTPUT, (4, 1))

    @jax.jit
    def gradients(rows, kernel, d_output):
        return jax.vjp(dense, rows, kernel)[1](d_output)

    spread = jax.device_put((rows, d_output), by_rows)
    rows64, kernel64, d64 = (np.asarray(x, np.float64) for x in (rows, KERNEL, d_output))
    found = gradients(spread[0], KERNEL, spread[1])
    near(found[0], d64 @ kernel64.T)
    near(found[1], rows64.T @ d64)


def test_float32_is_left_as_it_was():
    x, kernel = ROWS.astype(jnp.float32), KERNEL.astype(jnp.float32)
    assert (dense(x, kernel) == jax.jit(jnp.matmul)(x, kernel)).all()
