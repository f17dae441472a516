"""How fast is attention on a CPU, against PyTorch's kernel, jax.nn and Flax, T = 128 to 16,384?

Command: python experiments/benchmarks/attention.py --torch PYTHON [--jax PYTHON ...] [--out FILE]

Forward, and forward with backward; of full rows, causal, of padded rows, and with an additive bias
for each head. The first number is the ratio to PyTorch's time (below 1 is faster), the one in
brackets the ratio to the contender's own full rows, which take turns with the others. Memory is the
peak above the inputs, outputs and gradients included. What would keep more than --gigabytes of
logits or of bias is left out.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.benchmarks import inputs
from experiments.benchmarks.bench import command
from experiments.benchmarks.bench.entry import Contender, Entry
from experiments.benchmarks.bench.prepared import Prepared, unknown
from experiments.benchmarks.shapes import ATTENTION

MODULE = "experiments.benchmarks.attention"
CONTENDERS = {
    "torch": "torch", "attention_jax": "jax", "reference": "jax", "chunked": "jax",
    "jax.nn": "jax", "flax": "jax",
}  # fmt: skip
BACKENDS = {"attention_jax": "auto", "reference": "reference", "chunked": "chunked"}
KEEP_LOGITS = ("reference", "jax.nn", "flax")
PEERS = ("torch", "jax.nn")
MASKS = ("none", "causal", "padding", "bias")
TOLERANCE = 1e-3  # float32, sums over T in another order


def prepare(contender: str, case: dict) -> Prepared:
    """One compiled call; see `case`."""
    if contender == "torch":
        from experiments.benchmarks.torch_attention import prepare as prepare_torch

        return prepare_torch(case)
    if contender not in CONTENDERS:
        raise unknown(contender, CONTENDERS)
    return prepare_jax(contender, case)


def prepare_jax(contender: str, case: dict) -> Prepared:
    """The same of this package, or of a peer in JAX."""
    import jax
    import numpy as np
    from flax import nnx

    import attention_jax as aj

    batch, length, heads, kind = (case[name] for name in ("batch", "length", "heads", "mask"))
    shape = batch, length, heads, case["features"]
    arrays = [jax.numpy.asarray(inputs.normal(shape, seed)) for seed in range(3 + case["both"])]
    more: dict = {}
    if kind == "bias":
        more["bias"] = jax.numpy.asarray(inputs.normal((1, heads, length, length), 9))
    counts = jax.numpy.asarray(inputs.ragged(batch, length))
    if kind == "padding" and contender not in BACKENDS:
        seen = jax.numpy.arange(length)[None] < counts[:, None]
        more["mask"] = seen[:, None, None, :]

    def attend(query: Any, key: Any, value: Any, more: dict, counts: Any):
        if contender == "jax.nn":
            causal = kind == "causal"
            return jax.nn.dot_product_attention(query, key, value, is_causal=causal, **more)
        if contender == "flax":
            causal = kind == "causal"
            return nnx.dot_product_attention(query, key, value, is_causal=causal, **more)
        mask = {"causal": aj.Causal(), "padding": aj.Lengths(counts)}.get(kind)
        return aj.attend(query, key, value, mask=mask, backend=BACKENDS[contender], **more)

    def both(query, key, value, d_output, more, counts):
        def of(query, key, value):
            return attend(query, key, value, more, counts)

        output, backward = jax.vjp(of, query, key, value)
        return output, *backward(d_output)

    label = contender
    if contender in BACKENDS:
        options = {"mask": aj.Causal() if kind == "causal" else None, **more}
        label = aj.plan_attention(*arrays[:3], **options, backend=BACKENDS[contender]).backend
    given = *arrays, more, counts
    compiled = jax.jit(both if case["both"] else attend).lower(*given).compile()
    return Prepared(
        lambda: jax.block_until_ready(compiled(*given)),
        lambda found: inputs.numbers(np.asarray(x) for x in jax.tree.leaves(found)),
        f"jax {jax.__version__}, {label}",
        ahead=True,
    )


def case(size: dict, mask: str, both: bool) -> dict:
    """One size, with one of MASKS, forward or with backward too."""
    return {**size, "mask": mask, "both": both}


def title(case: dict) -> str:
    """The case in words."""
    passes = "forward + backward" if case["both"] else "forward"
    mask = "" if case["mask"] == "none" else f", {case['mask']}"
    return f"attention {passes}, T = {case['length']:,}{mask}"


def flops(case: dict) -> float:
    """Multiplications and additions of full rows; a mask saves some."""
    square = case["batch"] * case["heads"] * case["length"] ** 2 * case["features"]
    return 4.0 * square * (3.5 if case["both"] else 1)


def fits(contender: str, case: dict, gigabytes: float) -> bool:
    """Whether the arrays of T x T stay below that."""
    square = 4e-9 * case["batch"] * case["heads"] * case["length"] ** 2
    kept = square * (2 + case["both"]) if contender in KEEP_LOGITS else 0.0
    if case["mask"] == "bias":  # and its gradient is not asked for
        kept += square / case["batch"]
    return kept <= gigabytes


def entries(
    who: Sequence[Contender], size: dict, masks: Sequence[str], both: bool, gigabytes: float
) -> list[Entry]:
    """The masks of one size and pass take turns."""
    full, found = title(case(size, "none", both)), []
    for mask in masks:
        this, beside = case(size, mask, both), None if mask == "none" else full
        found += [
            Entry(MODULE, one, this, title(this), TOLERANCE, beside)
            for one in who
            if fits(one.asked, this, gigabytes)
        ]
    return found


def groups(options: argparse.Namespace) -> Iterator[list[Entry]]:
    """One size after another, forward, then both passes."""
    who = command.contenders(options, CONTENDERS)
    for both in (False, True):
        for size in ATTENTION:
            if not options.lengths or size["length"] in options.lengths:
                yield entries(who, size, options.masks, both, options.gigabytes)


def main() -> None:
    """Reads the command line and runs it."""
    parser = command.parser(__doc__, rounds=5, seconds=0.3)
    parser.add_argument("--lengths", nargs="+", type=int, help="only these T")
    parser.add_argument("--masks", nargs="+", choices=MASKS, default=list(MASKS))
    parser.add_argument("--gigabytes", type=float, default=4, help="of T x T arrays, at most")
    options = parser.parse_args()
    command.run(groups(options), options, peers=PEERS)


if __name__ == "__main__":
    main()
