"""What every test runs under: the CPU as eight devices, no silent rank promotion, no display."""

import os

# Before jax, matplotlib or hypothesis are imported: each reads these once.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", ".cache/hypothesis")

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

MAPS = Path("/proc/self/maps")


@pytest.fixture(autouse=True)
def memory_maps_to_spare():
    """Every compiled program keeps some memory maps; where Linux has no more to give, LLVM aborts.

    It gives 65,530 to a process; thousands of small programs, as operations run one by one make
    them, come near. Dropped ones are compiled again where they are needed.
    """
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()
