"""How much memory does attention take above its inputs, forward and backward, and to be looked at?

Command: python experiments/benchmarks/attention_memory.py [--length 16384]

Measured as the process's peak resident memory during the call, less what it held before (Linux).
The reference is not run, it is asked of XLA: what its compiled program would hold.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.benchmarks.bench.memory import peak_above

MEBIBYTE = 2**20


def one(backend: str, length: int, look: bool) -> dict:
    """The peak of one call in this process."""
    import jax

    import attention_jax as aj

    shape = (1, length, 8, 64)
    arrays = jax.block_until_ready(list(jax.random.normal(jax.random.key(0), (4, *shape))))

    def both(query, key, value, d_output):
        def attend(*arrays):
            return aj.attend(*arrays, backend=backend)

        output, backward = jax.vjp(attend, query, key, value)
        weights = aj.explain(query, key, heads=[3], queries=range(16)) if look else None
        return output, backward(d_output), weights

    compiled = jax.jit(both).lower(*arrays).compile()
    planned = compiled.memory_analysis()
    assert planned is not None
    bytes_planned = planned.temp_size_in_bytes + planned.output_size_in_bytes
    found = {
        "backend": backend,
        "explain": look,
        "jax": jax.__version__,
        "planned_mib": round(bytes_planned / MEBIBYTE),
    }
    if backend != "reference":
        _, peak = peak_above(lambda: jax.block_until_ready(compiled(*arrays)))
        found["measured_mib"] = None if peak is None else round(peak)
    return found


def main() -> None:
    """Each in a process of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--length", type=int, default=16_384)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        backend, look = options.one
        print(json.dumps(one(backend, options.length, look == "True")))
        return
    for backend, look in (("reference", False), ("chunked", False), ("chunked", True)):
        command = [sys.executable, __file__, "--length", str(options.length)]
        subprocess.run([*command, "--one", backend, str(look)], check=True)


if __name__ == "__main__":
    main()
