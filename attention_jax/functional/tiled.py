"""What masks and biases share: told by position, so that any tile of the logits' can be had."""

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

PICTURE = 8  # rows and columns of a picture where the mask itself does not say; twice that at most


class Tiled:
    """Something with a value for each query and source.

    A new one is a frozen dataclass with `tile`, registered as a pytree; the rest is given.
    """

    # NumPy arrays then leave `array & mask` and `array + bias` to the object.
    __array_ufunc__ = None

    def tile(self, queries: Int[Array, "T"], sources: Int[Array, "S"]) -> Array:
        """The values at these query and source positions, broadcastable to `[*B, H, T, S]`."""
        raise NotImplementedError

    def array(self, queries: int, sources: int) -> Array:
        """The values for T = `queries` and S = `sources`, broadcastable to `[*B, H, T, S]`."""
        return self.tile(jnp.arange(queries), jnp.arange(sources))

    def __repr__(self) -> str:
        given = []
        for name, found in vars(self).items():
            default = getattr(type(self), name, None)
            if found is not None and not (isinstance(found, int) and found == default):
                given.append(f"{name}={short(found)}")
        return f"{type(self).__name__}({', '.join(given)})"


def short(x: object) -> str:
    """Numbers as they are, arrays of up to eight as lists, larger ones as dtype and shape."""
    if isinstance(x, Tracer) or not hasattr(x, "shape"):
        return str(x)
    array = np.asarray(x)  # not jnp: under a trace that would be traced too
    return str(array.tolist()) if array.size <= PICTURE else f"{array.dtype}{list(array.shape)}"
