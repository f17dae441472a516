"""What every test runs under: the CPU as eight devices, no silent rank promotion, no display."""

import gc
import itertools
import os

# Before jax, matplotlib or hypothesis are imported: each reads these once.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", ".cache/hypothesis")
# Most of the time goes into compiling: a third of it is LLVM's optimizing, for processes that tests
# start too. With 0 all is optimized; what is claimed of single bits always is, see `optimized`.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# What commands that tests start compile is kept for nobody: an old program might hide a new fault.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "0")

from pathlib import Path

import hypothesis
import jax
import pytest

# Before the first array is made: the backend counts its devices when it starts.
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

# The same examples at every run, and no deadline: a first example pays for compilation.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.load_profile("house")

QUICK = os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] != "0"
MAPS = Path("/proc/self/maps")
EVERY = 16
tests = itertools.count(1)


def pytest_collection_finish():
    """What importing left behind stays: no later collection of garbage walks through it again."""
    gc.collect()
    gc.freeze()


def pytest_make_parametrize_id(config, val, argname):
    """Bytes name a test by their number: packed ones may hold the time, and workers differ."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def memory_maps_to_spare():
    """Every compiled program keeps some memory maps; where Linux has no more to give, LLVM aborts.

    It gives 65,530 to a process; thousands of small programs, as operations run one by one make
    them, come near. Dropped ones are compiled again where they are needed. To count them takes
    longer than most tests, and sixteen tests need a few thousand.
    """
    yield
    if next(tests) % EVERY == 0 and MAPS.exists() and MAPS.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()


@pytest.fixture
def optimized():
    """Programs as users run them: vectors and fused sums may round otherwise than plain loops."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", QUICK)
