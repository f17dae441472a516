"""Layer after layer: what the backward pass finds of them, and whether one program serves them all.

Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from attention_jax.functional.layers import PRODUCT

Remat = Literal["nothing", "everything", "products"]
"""What of a layer is made again for its gradient, instead of being kept: nothing; everything but
the rows that go into it, for a third more arithmetic; or all but the results of its affine maps,
which costs little more than the attention, its weights among them. On CPUs jax before 0.12 saves no
memory so, unless layers are scanned: its XLA merges what is made again with what was made."""


def known_remat(given: bool | str) -> Remat:
    """The rule of that name; earlier configs say True for everything and False for nothing.

    Raises:
      ValueError: there is none of that name.
    """
    if isinstance(given, bool):
        return "everything" if given else "nothing"
    for rule in get_args(Remat):
        if given == rule:
            return rule
    raise ValueError(f"remat is {given!r}; one of {get_args(Remat)} fits")


def depth(config: Any, one: Any) -> dict[str, Any]:
    """How the layers of a config run in one `Pass`, as `in_a_row` takes it.

    Layers that are run again would show `explain` and `heads` two passes, and scanned ones show
    them all places as one: where either is asked for, each layer runs once, by itself.
    """
    if one.explain is not None or one.heads is not None:
        return {}
    return {"remat": config.remat, "scan": config.scan}


def in_a_row(
    layers: Sequence[nnx.Module],
    x: Any,
    call: Callable[[Any, Any, Any], Any],
    rngs: Sequence[Any],
    *,
    remat: Remat = "nothing",
    scan: bool = False,
) -> Any:
    """Rows taken through all layers.

    Args:
      layers: of one config, so that those with parameters of the same shapes do the same.
      x: what goes into the first.
      call: from a layer, what goes into it and its `rngs` to what comes out; nothing else may come
        out of it, where anything is made again or scanned.
      rngs: a tree of keys, or of None, for each layer.
      remat: what is made again for the gradient.
      scan: neighbours with parameters of the same shapes become one loop over a stack of them,
        which is made at every call: compiled once, however many there are.
    """
    if not scan:
        for layer, own in zip(layers, rngs, strict=True):

            def further(x, own, layer=layer):
                return call(layer, x, own)

            x = _again(further, remat)(x, own)
        return x
    cut = [(*nnx.split(layer), own) for layer, own in zip(layers, rngs, strict=True)]
    for _, group in itertools.groupby(cut, key=lambda part: _shapes(part[1])):
        graphs, *given = zip(*group, strict=True)

        def one(x, layer, graph=graphs[0]):
            params, own = layer
            return call(nnx.merge(graph, params), x, own), None

        each = list(zip(*given, strict=True))
        if len(each) == 1:
            x = _again(one, remat)(x, each[0])[0]
        else:
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
            x = jax.lax.scan(_again(one, remat), x, stacked)[0]
    return x


def _again(function: Callable, remat: Remat) -> Callable:
    match remat:
        case "nothing":
            return function
        case "everything":
            return jax.checkpoint(function)
        case "products":
            keep = jax.checkpoint_policies.save_only_these_names(PRODUCT)
            return jax.checkpoint(function, policy=keep)


def _shapes(params: Any) -> tuple:
    leaves, tree = jax.tree.flatten(params)
    return tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
