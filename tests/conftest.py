"""What every test runs under: the CPU as eight devices, no silent rank promotion, no display."""

import os

# Before jax, matplotlib or hypothesis are imported: each reads these once.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", ".cache/hypothesis")

import hypothesis
import jax

# Before the first array is made: the backend counts its devices when it starts.
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

# The same examples at every run, and no deadline: a first example pays for compilation.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.load_profile("house")
