"""Torch's recurrent cells and layers: its parameters into ours, the same numbers and gradients out.

PyTorch answers from a process of its own (`torch_recurrent_peer.py`); see `test_peers.py`.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.functional.recurrence import elman, gru, lstm
from attention_jax.modules.recurrent import GATES, Recurrent

pytestmark = pytest.mark.slow

B, T, D, K = 3, 6, 4, 5
KINDS = ("elman", "gru", "lstm")
LENGTHS = [6, 1, 4]
STACKS = {
    "one layer": {"layers": 1},
    "two layers, both directions, packed": {"layers": 2, "both": True, "lengths": LENGTHS},
    "three layers, packed": {"layers": 3, "lengths": LENGTHS},
}


def suffixes(layers, both=False):
    """What torch calls the parameters of each layer and direction, in the order of its states."""
    return [f"_l{i}{way}" for i in range(layers) for way in ("", "_reverse")[: 1 + both]]


def question(kind, layers=0, both=False, lengths=None):
    """Everything random, by torch's names; no layers stands for one cell."""
    rng = np.random.default_rng([KINDS.index(kind), layers])

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32) * np.float32(0.5)

    gates, found = GATES[kind] * K, {}
    for suffix in suffixes(layers, both) if layers else [""]:
        size = D if suffix in ("", "_l0", "_l0_reverse") else K * (1 + both)
        found[f"weight_ih{suffix}"] = normal(gates, size)
        found[f"weight_hh{suffix}"] = normal(gates, K)
        found[f"bias_ih{suffix}"], found[f"bias_hh{suffix}"] = normal(gates), normal(gates)
    state = (layers * (1 + both), B, K) if layers else (B, K)
    rows = (B, T) if layers else (B,)
    found |= {"x": normal(*rows, D), "pull": normal(*rows, K * (1 + both))}
    for part in ("hidden", "cell")[: 1 + (kind == "lstm")]:
        found |= {part: normal(*state), f"pull_{part}": normal(*state)}
    return found | ({} if lengths is None else {"lengths": np.array(lengths)})


QUESTIONS = {kind: (kind, {}) for kind in KINDS}
QUESTIONS |= {f"{kind}, {name}": (kind, how) for kind in KINDS for name, how in STACKS.items()}


def split_state(arrays, place=...):
    """Torch's state at a place, as ours."""
    hidden = arrays["hidden"][place]
    return (hidden, arrays["cell"][place]) if "cell" in arrays else hidden


def by_cell(kind, arrays):
    inputs = arrays["x"] @ arrays["weight_ih"].T + arrays["bias_ih"][None]

    def recurrent(hidden):
        return hidden @ arrays["weight_hh"].T + arrays["bias_hh"][None]

    state = {"elman": elman, "gru": gru, "lstm": lstm}[kind](inputs, split_state(arrays), recurrent)
    return (state[0] if kind == "lstm" else state), state


def filled(stack, arrays, both):
    """Our stack with torch's parameters: of its two biases ours has what it cannot tell apart."""
    for name, way in [("forward", "")] + [("backward", "_reverse")] * both:
        for i, layer in enumerate(getattr(stack, name)):
            weights = {n: arrays[f"{n}_l{i}{way}"] for n in ("weight_ih", "weight_hh")}
            ours, theirs = (arrays[f"bias_{n}_l{i}{way}"] for n in ("ih", "hh"))
            layer.inputs.kernel = nnx.Param(weights["weight_ih"].T)
            layer.recurrent = nnx.Param(weights["weight_hh"].T)
            if layer.shift is not None:
                layer.shift = nnx.Param(theirs[2 * K :])
                theirs = theirs.at[2 * K :].set(0)
            layer.inputs.bias = nnx.Param(ours + theirs)
    return stack


def by_stack(kind, arrays, layers, both=False, lengths=None):
    stack = Recurrent(D, K, cell=kind, layers=layers, bidirectional=both, rngs=nnx.Rngs(0))
    ways = 1 + both

    def joined(*parts):
        return jnp.concatenate(parts, axis=-1)

    state = tuple(
        jax.tree.map(joined, *[split_state(arrays, ways * i + way) for way in range(ways)])
        for i in range(layers)
    )
    lengths = None if lengths is None else jnp.asarray(lengths)
    output, finals = filled(stack, arrays, both)(arrays["x"], lengths, state=state)

    def apart(*leaves):
        return jnp.stack([part for leaf in leaves for part in jnp.split(leaf, ways, axis=-1)])

    return output, jax.tree.map(apart, *finals)


def our_answer(kind, how, asked):
    arrays = {name: jnp.asarray(x) for name, x in asked.items() if name != "lengths"}
    pulls = {name: arrays.pop(name) for name in list(arrays) if name.startswith("pull")}

    @jax.jit
    def value(arrays):
        output, state = by_stack(kind, arrays, **how) if how else by_cell(kind, arrays)
        names = ("hidden", "cell") if kind == "lstm" else ("hidden",)
        final = dict(zip(names, state if kind == "lstm" else (state,), strict=True))
        total = (output * pulls["pull"]).sum()
        total += sum((part * pulls[f"pull_{name}"]).sum() for name, part in final.items())
        return total, {"output": output} | final

    gradients, found = jax.grad(value, has_aux=True)(arrays)
    return found | {f"d_{name}": x for name, x in gradients.items()}


@pytest.fixture(scope="module")
def torch_answers(tmp_path_factory):
    """`{question: {array's name: PyTorch's array}}`, all asked in one process."""
    python = os.environ.get("ATTENTION_JAX_TORCH_PYTHON") or sys.executable
    if python == sys.executable and importlib.util.find_spec("torch") is None:
        pytest.skip("no torch here, and ATTENTION_JAX_TORCH_PYTHON names no Python that has it")
    asked = {
        name: {"kind": kind} | {part: x.tolist() for part, x in question(kind, **how).items()}
        for name, (kind, how) in QUESTIONS.items()
    }
    folder = tmp_path_factory.mktemp("torch")
    files = folder / "questions.json", folder / "answers.json"
    files[0].write_text(json.dumps(asked))
    script = Path(__file__).with_name("torch_recurrent_peer.py")
    subprocess.run([python, "-I", script, *files], check=True, timeout=300)
    return json.loads(files[1].read_text())


@pytest.mark.parametrize("name", QUESTIONS)
def test_torch(name, torch_answers):
    kind, how = QUESTIONS[name]
    found, wanted = our_answer(kind, how, question(kind, **how)), torch_answers[name]
    assert set(found) == set(wanted)
    for part, x in found.items():
        np.testing.assert_allclose(x, wanted[part], rtol=1e-5, atol=1e-5, err_msg=part)
