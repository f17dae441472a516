"""Compiled programs kept on the disk: the same bits, and no folder that stops a command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from attention_jax.training.compiled import compiled_cache, make_ready, wanted

ROOT = Path(__file__).parents[2]

# A step with dots, sums, random bits and transcendental functions; prints hits, misses and bits.
PROGRAM = """
import collections, hashlib, sys
early = "early" in sys.argv
if early:
    import jax
from attention_jax.training.compiled import compiled_cache
folder = compiled_cache()
import jax
from jax import numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
counts = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: counts.update([event.rsplit("/")[-1]]))
@jax.jit
def step(x, w):
    drop = jax.random.bernoulli(jax.random.key(0, impl="rbg"), 0.9, x.shape)
    loss = lambda w: jax.nn.logsumexp(jnp.tanh(jnp.where(drop, x, 0) @ w) @ w.T, -1).sum()
    return jax.value_and_grad(loss)(w)
x = jax.random.normal(jax.random.key(1), (64, 96))
w = jax.random.normal(jax.random.key(2), (96, 32))
found = b"".join(jax.device_get(leaf).tobytes() for leaf in jax.tree.leaves(step(x, w)))
print(folder, counts["cache_hits"], counts["cache_misses"], hashlib.sha256(found).hexdigest())
"""


def sitting(cache, *words, wait=True, **variables):
    """A process that compiles; (folder, programs loaded, programs compiled and kept, digest)."""
    environment = {k: v for k, v in os.environ.items() if "COMPILATION" not in k}
    environment |= {"PYTHONPATH": str(ROOT), "ATTENTION_JAX_CACHE": str(cache), **variables}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "0"
    process = subprocess.Popen(
        [sys.executable, "-W", "always", "-c", PROGRAM, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return told(process) if wait else process


def told(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    folder, hits, misses, digest = out.split()
    return folder, int(hits), int(misses), digest, err


def test_a_second_process_loads_what_the_first_compiled_and_gives_the_same_bits(tmp_path):
    folder, hits, misses, digest, said = sitting(tmp_path)
    assert folder == str(tmp_path / "compiled") and (hits, said) == (0, "") and misses > 0
    again = sitting(tmp_path, "early")  # where jax came first, as in experiments
    assert again == (folder, misses, 0, digest, "")


@pytest.mark.slow
def test_torn_programs_are_compiled_anew(tmp_path):
    *_, misses, digest, _ = sitting(tmp_path)
    programs = sorted((tmp_path / "compiled").glob("*-cache"))
    assert len(programs) == misses
    for program in programs:  # killed while it wrote: there is no note of the use yet
        program.write_bytes(program.read_bytes()[: program.stat().st_size // 2])
        program.with_name(program.name.removesuffix("-cache") + "-atime").unlink()
    assert sitting(tmp_path)[1:] == (0, misses, digest, "")
    for program in programs:  # as a disk may leave it when the power goes: noted, yet not whole
        program.write_bytes(program.read_bytes()[: program.stat().st_size // 2])
    _, hits, _, found, said = sitting(tmp_path)
    assert (hits, found) == (0, digest)
    assert said.count("Error reading persistent compilation cache entry") == misses
    assert sitting(tmp_path, JAX_ENABLE_COMPILATION_CACHE="0") == ("None", 0, 0, digest, "")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_two_processes_at_once_share_the_folder(tmp_path):
    both = [told(process) for process in [sitting(tmp_path, wait=False) for _ in range(2)]]
    assert both[0][3] == both[1][3] and [one[-1] for one in both] == ["", ""]
    assert sitting(tmp_path)[2:] == (0, both[0][3], "")


def test_what_was_never_finished_goes_and_the_rest_stays(tmp_path):
    make_ready(tmp_path / "new" / "compiled")
    folder = tmp_path / "new" / "compiled"
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("whole-cache", "whole-atime", "torn-cache", "of the user"):
        (folder / name).write_bytes(b"12345678")
    make_ready(folder)
    left = {path.name for path in folder.iterdir()} - {".lockfile"}
    assert left == {"whole-cache", "whole-atime", "of the user"}


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders without owners")
def test_a_folder_that_others_may_write_in_is_refused(tmp_path):
    folder = tmp_path / "compiled"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="others may write there"):
        make_ready(folder)


def test_a_folder_that_will_not_do_is_a_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "compiled").write_text("a file")
    monkeypatch.setenv("ATTENTION_JAX_CACHE", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "1")
    monkeypatch.setitem(sys.modules, "jax", None)
    assert compiled_cache() is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{tmp_path / 'compiled'}: File exists; " in said
    assert "JAX_ENABLE_COMPILATION_CACHE=0" in said
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


@pytest.mark.parametrize(
    ("environment", "is_wanted"),
    [
        ({}, True),
        ({"JAX_ENABLE_COMPILATION_CACHE": "true"}, True),
        ({"JAX_ENABLE_COMPILATION_CACHE": "0"}, False),
        ({"JAX_ENABLE_COMPILATION_CACHE": "Off"}, False),
        ({"JAX_COMPILATION_CACHE_DIR": "/mine"}, False),
    ],
)
def test_what_jax_was_told_stays(environment, is_wanted):
    assert wanted(environment) is is_wanted
