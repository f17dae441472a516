"""A model's parameters with its matrices rounded to eight bits, for decoding alone."""

from typing import Any

import jax
from flax import nnx

from attention_jax.functional.quantized import quantize
from attention_jax.modules import Dense, Embedding


def quantized(graph: nnx.GraphDef, params: Any) -> Any:
    """The parameters with the kernels of all affine maps and the tables of embeddings in int8.

    What is no such matrix (biases, normalisation, distances) stays as it is.

    Args:
      graph: the model's structure, from `nnx.split(model, nnx.Param)`.
      params: from the same split, as a state or as nested dicts.

    Returns:
      Nested dicts with `functional.quantized.Quantized` where a matrix was.
    """

    @jax.jit
    def rounded(params: Any) -> Any:
        model = nnx.merge(graph, params)
        found = nnx.to_pure_dict(nnx.state(model, nnx.Param))
        for path, module in nnx.iter_graph(model):
            if isinstance(module, Dense):
                _place(found, path)["kernel"] = quantize(module.kernel[...], 0)
            elif isinstance(module, Embedding):
                _place(found, path)["table"] = quantize(module.table[...], 1)
        return found

    return rounded(params)


def _place(tree: dict, path: tuple) -> dict:
    """The entries of a module at this path."""
    for step in path:
        tree = tree[step]
    return tree
