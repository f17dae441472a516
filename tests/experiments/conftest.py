"""What the processes that tests start here have in common."""

import os

import pytest


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The phrasebook is made once for all, and so is a program that several of them run."""
    shared = tmp_path_factory.mktemp("shared")
    return os.environ | {
        "ATTENTION_JAX_CACHE": str(shared),
        "JAX_COMPILATION_CACHE_DIR": str(shared / "compiled"),
        "JAX_ENABLE_COMPILATION_CACHE": "1",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
