"""How fast is a whole multi-head attention, projections included, against PyTorch's and Flax's?

Command: python experiments/benchmarks/attention_module.py --torch PYTHON --jax PYTHON [PYTHON ...]

Self-attention of full rows without biases, and the same kernels in all; forward, and forward with
backward to the rows and to the kernels.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.benchmarks import inputs
from experiments.benchmarks.bench import command
from experiments.benchmarks.bench.entry import Entry
from experiments.benchmarks.bench.prepared import Prepared, unknown
from experiments.benchmarks.shapes import ATTENTION_MODULE

MODULE = "experiments.benchmarks.attention_module"
CONTENDERS = {"torch": "torch", "attention_jax": "jax", "flax": "jax"}
PEERS = ("torch", "flax")
TOLERANCE = 1e-3  # float32, sums in another order
NAMES = ("query", "key", "value", "output")


def prepare(contender: str, case: dict) -> Prepared:
    """One compiled call; its kernels are `kernels(case)`."""
    if contender == "torch":
        from experiments.benchmarks.torch_module import prepare as prepare_torch

        return prepare_torch(case)
    if contender not in CONTENDERS:
        raise unknown(contender, CONTENDERS)
    import jax
    import numpy as np
    from flax import nnx

    from attention_jax.modules import MultiHeadAttention

    width, heads, rngs = case["width"], case["heads"], nnx.Rngs(0)
    if contender == "flax":
        module = nnx.MultiHeadAttention(heads, width, use_bias=False, decode=False, rngs=rngs)
        into, out = (width, heads, width // heads), (heads, width // heads, width)
        shapes = {name: out if name == "output" else into for name in NAMES}
        parts = [getattr(module, "out" if name == "output" else name) for name in NAMES]
    else:
        module = MultiHeadAttention(width, heads, rngs=rngs)
        shapes = dict.fromkeys(NAMES, (width, width))
        parts = [getattr(module, name) for name in NAMES]
    for part, name in zip(parts, NAMES, strict=True):
        part.kernel[...] = jax.numpy.asarray(kernels(case)[name].reshape(shapes[name]))
    graph, params = nnx.split(module, nnx.Param)
    rows, d_output = (jax.numpy.asarray(one) for one in arrays(case))

    def forward(params, rows):
        module: Any = nnx.merge(graph, params)
        return module(rows) if contender == "flax" else module(rows, rows)

    def both(params, rows, d_output):
        output, backward = jax.vjp(forward, params, rows)
        return output, *backward(d_output)

    given = (params, rows, d_output) if case["both"] else (params, rows)
    compiled = jax.jit(both if case["both"] else forward).lower(*given).compile()

    def look(found):
        if not case["both"]:
            return inputs.numbers([np.asarray(found)])
        output, d_params, d_rows = found
        d_parts: Any = nnx.merge(graph, d_params)
        d_key = np.asarray(d_parts.key.kernel[...]).reshape(width, width)
        return inputs.numbers(np.asarray(one) for one in (output, d_rows, d_key))

    label = f"jax {jax.__version__}, {type(module).__module__.partition('.')[0]}"
    return Prepared(lambda: jax.block_until_ready(compiled(*given)), look, label, ahead=True)


def arrays(case: dict) -> list:
    """Rows and what comes back to the output, `[B, T, D]`."""
    shape = case["batch"], case["length"], case["width"]
    return [inputs.normal(shape, seed) for seed in range(2)]


def kernels(case: dict) -> dict:
    """The projections, `[D, D]`, heads side by side."""
    width = case["width"]
    return {
        name: inputs.normal((width, width), 10 + number) * width**-0.5
        for number, name in enumerate(NAMES)
    }


def groups(options: argparse.Namespace) -> Iterator[list[Entry]]:
    """One size and pass after another."""
    who = command.contenders(options, CONTENDERS)
    for both in (False, True):
        for size in ATTENTION_MODULE:
            case = {**size, "both": both}
            passes = "forward + backward" if both else "forward"
            title = f"module, {passes}, T = {size['length']:,}"
            yield [Entry(MODULE, one, case, title, TOLERANCE) for one in who]


def main() -> None:
    """Reads the command line and runs it."""
    parser = command.parser(__doc__, rounds=7, seconds=0.5)
    options = parser.parse_args()
    command.run(groups(options), options, peers=PEERS)


if __name__ == "__main__":
    main()
