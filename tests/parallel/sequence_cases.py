"""What attention over a spread sequence is held to: masks, layouts, and the comparison itself."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention_jax.functional import (
    Causal,
    Dilated,
    Lengths,
    Mask,
    Prefix,
    Segments,
    Window,
    attend,
)
from attention_jax.parallel import sequence
from attention_jax.parallel.layout import Layout

RNG = np.random.default_rng(0)

LAYOUTS = {
    "8": Layout(sequence=8),
    "4x2": Layout(sequence=4, data=2),
    "2x2x2": Layout(sequence=2, model=2, data=2),
}
SEGMENTS = np.sort(RNG.integers(0, 3, (2, 37)), axis=-1)
# For queries and sources of 37 positions, two rows of a batch.
SELF = {
    "all": None,
    "causal": Causal(),
    "causal from 3 on": Causal(3),
    "causal from -40 on": Causal(-40),  # nobody sees anything
    "window": Window(4, 2),
    "window behind": Window(5, 0) & Causal(-1),
    "lengths": Lengths(np.array([3, 37])),
    "causal lengths": Causal() & Lengths(np.array([3, 20]), np.array([37, 0])),
    "segments": Segments(SEGMENTS) & Causal(),
    "segments of all": Segments(SEGMENTS[0]),
    "steps": Causal(np.array([2, -5])),
    "dilated": Causal() & Dilated(3),
    "prefix": Prefix(np.array([4, 11])),
    "or": Window(1, 1) | Lengths(2),
    "not": ~Causal() | Dilated(5),
}


class Arrays(NamedTuple):
    query: jax.Array
    key: jax.Array
    value: jax.Array
    d_output: jax.Array


def arrays(
    queries: int, sources: int, heads: int = 8, groups: int = 8, dtype: Any = jnp.float32
) -> Arrays:
    """Random arrays for two rows of a batch; K is 4 and E is 3."""
    rng = np.random.default_rng(1)
    shapes = ((queries, heads, 4), (sources, groups, 4), (sources, groups, 3), (queries, heads, 3))
    return Arrays(*(jnp.asarray(rng.normal(size=(2, *shape)), dtype) for shape in shapes))


def both(attention: Any) -> Any:
    """From `Arrays` to the output, and the gradients of query, key and value."""

    def run(given: Arrays) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        output, backward = jax.vjp(attention, given.query, given.key, given.value)
        return output, backward(given.d_output)

    return jax.jit(run)


def agree(layout: Layout, given: Arrays, mask: Mask | None = None, **options: Any) -> None:
    """Output and gradients are those of `functional.attend`, to 1e-5."""
    score = {name: options[name] for name in ("score",) if name in options}
    spread = partial(sequence.attend, mesh=layout.mesh(), mask=mask, **options)
    whole = partial(attend, mask=mask, backend="reference", **score)
    found, wanted = both(spread)(given), both(whole)(given)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
