import importlib
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from attention_jax import doctor as house_doctor
from attention_jax.doctor import Finding, doctor, examine


@pytest.fixture
def pretend(monkeypatch):
    """Pretends that packages are there in other versions; None: not there."""

    def set_versions(**versions):
        named = {name.replace("_", "-"): version for name, version in versions.items()}
        real = metadata.version

        def version(name):
            if name not in named:
                return real(name)
            if named[name] is None:
                raise metadata.PackageNotFoundError(name)
            return named[name]

        monkeypatch.setattr(metadata, "version", version)

    return set_versions


def wrong(findings):
    return {one.subject: one for one in findings if one.level == "wrong"}


def test_the_stack_of_the_tests_is_fine():
    findings = examine()
    assert set(wrong(findings)) <= {"this folder", "the cache"}  # a full disk is not the stack's
    assert {"Python", "jax", "flax", "devices", "this folder", "the cache"} <= {
        one.subject for one in findings
    }


@pytest.mark.parametrize("jax, flax, bad", [
    ("0.12.0.1", "0.12.8", True),
    ("0.12.0rc1", "0.12.7", True),
    ("0.12.0.1", "0.12.12", False),
    ("0.11.2", "0.12.8", False),
    ("0.10.2", "0.12.8", False),
])  # fmt: skip
def test_flax_and_jax_that_do_not_go_together(pretend, jax, flax, bad):
    pretend(jax=jax, flax=flax)
    found = wrong(house_doctor._pairs())
    assert ("flax and jax" in found) == bad
    if bad:
        assert jax in found["flax and jax"].found and flax in found["flax and jax"].found


def test_a_plugin_of_another_version(pretend):
    pretend(jax="0.10.2", jaxlib="0.10.2", jax_cuda13_plugin="0.10.0")
    found = wrong(house_doctor._pairs())["CUDA plugin"]
    assert "0.10.0" in found.found and "jax[cuda13]==0.10.2" in found.remedy


def test_versions_outside_the_ranges(pretend):
    pretend(orbax_checkpoint="1.0.0", flax="0.10.1", optax=None)
    found = wrong(house_doctor._packages())
    assert "1.0.0" in found["orbax-checkpoint"].found and "<1" in found["orbax-checkpoint"].remedy
    assert "0.10.1" in found["flax"].found
    assert "not installed" in found["optax"].found


def test_a_package_that_cannot_be_imported(monkeypatch):
    real = importlib.import_module

    def broken(name, package=None):
        if name == "flax.nnx":
            raise AttributeError("module 'jax' has no attribute 'HiPrimitive'\nsecond line")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", broken)
    found = wrong(house_doctor._imports())
    assert list(found) == ["flax.nnx"]
    assert "HiPrimitive" in found["flax.nnx"].found and "second" not in found["flax.nnx"].found


@pytest.mark.parametrize("plugin, platforms, level, word", [
    (None, "", "wrong", "not installed"),
    ("0.10.2", "", "wrong", "sees only the CPU"),
    (None, "cpu", "note", "JAX_PLATFORMS=cpu"),
])  # fmt: skip
def test_a_gpu_that_jax_does_not_use(monkeypatch, pretend, plugin, platforms, level, word):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    pretend(jax_cuda13_plugin=plugin, jax_cuda12_plugin=None)
    finding = house_doctor._idle_accelerator()
    assert finding is not None
    assert finding.level == level and word in finding.found and finding.remedy


def test_folders(tmp_path, monkeypatch):
    [fine] = house_doctor._folder("here", tmp_path / "not" / "made" / "yet")
    assert fine.level == "ok"
    (tmp_path / "file").write_text("")
    [finding] = house_doctor._folder("here", tmp_path / "file")
    assert finding.level == "wrong" and "cannot be written" in finding.found
    usage = shutil.disk_usage(tmp_path)._replace(free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    [finding] = house_doctor._folder("here", tmp_path)
    assert finding.level == "wrong" and "0.1 GB" in finding.found


def test_the_exit_code_and_what_is_printed(monkeypatch, capsys):
    findings = [Finding("ok", "Python", platform.python_version())]
    monkeypatch.setattr(house_doctor, "examine", lambda: findings)
    assert doctor() == 0
    findings.append(Finding("wrong", "disk", "is full", "make room"))
    assert doctor() == 1
    printed = capsys.readouterr().out
    assert "wrong disk: is full" in printed and "-> make room" in printed


def test_it_speaks_without_any_package():
    script = Path(house_doctor.__file__)
    # -S leaves site-packages out: no jax, no flax, no packaging.
    done = subprocess.run(
        [sys.executable, "-S", "-P", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and done.stderr == ""
    assert "wrong jax: cannot be imported" in done.stdout
