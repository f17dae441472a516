"""The package's own namespace: every name there, and nothing loaded before it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

import attention_jax as aj
from attention_jax import functional


def test_every_name_loads_from_its_home():
    assert set(aj.__all__) == set(aj._HOMES)
    for name in aj.__all__:
        assert getattr(aj, name) is not None
    assert set(functional.__all__) <= set(aj.__all__) <= set(dir(aj))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'attendd'"):
        aj.attendd  # noqa: B018


def test_importing_loads_not_even_jax():
    script = "import sys, attention_jax; sys.exit('jax' in sys.modules)"
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0
