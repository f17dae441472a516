"""Matrix products of bfloat16 rows on CPUs, forward and backward in the processor's own.

XLA multiplies bfloat16 matrices with the processor's instructions for them only if it is asked for
sums in float32 and if the axis that is summed over lies last in the first matrix. Else it makes
float32 copies of both first, and a product takes two to three times as long. The kernel's gradient
sums over the first axis, so its rows are laid out anew.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, BFloat16


@jax.custom_vjp
def narrow_product(
    rows: BFloat16[Array, "N D"], kernel: BFloat16[Array, "D F"]
) -> BFloat16[Array, "N F"]:
    """Rows · kernel, summed in float32 and rounded once; so are both gradients."""
    return jnp.matmul(rows, kernel, preferred_element_type=jnp.float32).astype(jnp.bfloat16)


def _forward(rows, kernel):
    return narrow_product(rows, kernel), (rows, kernel)


def _backward(saved, d_output):
    rows, kernel = saved
    last = (((1,), (1,)), ((), ()))
    d_rows = lax.dot_general(d_output, kernel, last, preferred_element_type=jnp.float32)
    # A transposition alone would be folded into the product, which sums over first axes then.
    features = with_layout_constraint(rows.T, Layout(major_to_minor=(0, 1)))
    d_kernel = jnp.matmul(features, d_output, preferred_element_type=jnp.float32)
    return d_rows.astype(jnp.bfloat16), d_kernel.astype(jnp.bfloat16)


narrow_product.defvjp(_forward, _backward)
