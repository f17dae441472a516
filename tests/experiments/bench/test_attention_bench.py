"""What the benchmark of attention times is attention, on sizes that stem from its own."""

import functools
import os

import pytest

from experiments.benchmarks import attention, shapes
from experiments.benchmarks.bench.figures import agree
from experiments.benchmarks.bench.process import Process, here

SMALL = {**shapes.ATTENTION[0], "batch": 2, "length": 24, "heads": 2}
JAX = ("reference", "chunked", "jax.nn", "flax")  # attention_jax is one of the first two


def numbers(contender, case):
    prepared = attention.prepare(contender, case)
    return prepared.look(prepared.call())


@pytest.mark.parametrize("mask", attention.MASKS)
def test_contenders_agree(mask):
    case = attention.case(SMALL, mask, mask == "padding")
    found = {name: numbers(name, case) for name in JAX}
    assert len(found["flax"]) == (16 if case["both"] else 4) and all(found["flax"][::4])
    for name in JAX:
        assert agree(found[name], found["reference"], 1e-5), name
        # Each mask is another case than full rows.
        assert agree(found[name][:4], full(name), 1e-3) == (mask == "none"), name


@functools.cache
def full(contender):
    return numbers(contender, attention.case(SMALL, "none", False))


def test_an_unknown_contender_is_refused():
    with pytest.raises(ValueError, match="contender is 'left'; of .'torch', 'attention_jax'"):
        attention.prepare("left", attention.case(SMALL, "none", False))


def test_what_would_not_fit_is_left_out():
    longest = attention.case(shapes.ATTENTION[-1], "none", True)
    assert attention.fits("attention_jax", longest, 4)
    assert not attention.fits("jax.nn", longest, 4)
    assert not attention.fits("torch", {**longest, "mask": "bias"}, 4)
    assert attention.fits("torch", attention.case(shapes.ATTENTION[0], "bias", True), 4)


@pytest.fixture(scope="module")
def torch_process():
    python = os.environ.get("ATTENTION_JAX_TORCH_PYTHON")
    if python is None:
        pytest.skip("ATTENTION_JAX_TORCH_PYTHON names no Python that has torch")
    one = Process(python, cores=here()[:1])
    yield one
    one.close()


@pytest.mark.slow
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("mask", attention.MASKS)
def test_torch_agrees(mask, both, torch_process):
    case = attention.case(SMALL, mask, both)
    found = torch_process.prepare(attention.MODULE, "torch", case)
    assert found["label"].startswith("torch ")
    assert agree(found["look"], numbers("reference", case), 1e-5)
