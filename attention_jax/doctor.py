"""Looks at this machine and says what to mend before a run: `attention-jax doctor`.

Needs nothing but Python to start, and looks at each part by itself, so that one that cannot be
imported is a finding and not the end.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import platform
import shutil
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Literal

LITTLE_DISK = (
    2 * 10**9
)  # bytes; a run with its checkpoints, and the data sets of `make heads`, stay under it


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
      level: "ok"; "note", worth knowing; or "wrong", to be mended.
      subject: what was looked at: a package, the devices, a folder.
      found: what is there, with versions or sizes.
      remedy: what to do about it; empty when all is well.
    """

    level: Literal["ok", "note", "wrong"]
    subject: str
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Everything that the doctor looks at, in the order of reading."""
    findings = [Finding("ok", "Python", f"{platform.python_version()} on {platform.platform()}")]
    findings += _packages()
    findings += _pairs()
    findings += _imports()
    findings += _devices()
    findings += _folder("this folder", Path.cwd())
    cache = os.environ.get("ATTENTION_JAX_CACHE") or Path.home() / ".cache" / "attention_jax"
    findings += _folder("the cache", Path(cache), move="ATTENTION_JAX_CACHE=/another/folder")
    return findings


def doctor() -> int:
    """Prints what `examine` found and what to do about it.

    Returns:
      The exit code: 0, or 1 when something is wrong.
    """
    findings = examine()
    for finding in findings:
        print(f"{finding.level:<6}{finding.subject}: {finding.found}")
        if finding.remedy:
            print(f"      -> {finding.remedy}")
    wrong = sum(finding.level == "wrong" for finding in findings)
    print(f"\n{wrong} to mend." if wrong else "\nAll is well.")
    return 1 if wrong else 0


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requirements() -> list[str]:
    """What the package declares: from the source tree it runs in, else from its installation."""
    declared = Path(__file__).parents[1] / "pyproject.toml"
    if declared.is_file():
        project = tomllib.loads(declared.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == "attention-jax":
            return project["dependencies"]
    try:
        return [one for one in metadata.requires("attention-jax") or [] if "extra ==" not in one]
    except metadata.PackageNotFoundError:
        return []


def _packages() -> list[Finding]:
    try:
        from packaging.requirements import Requirement
    except ImportError:
        install = f"{sys.executable} -m pip install packaging"
        return [Finding("wrong", "packages", "cannot be compared without `packaging`", install)]
    findings = []
    for text in _requirements():
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate():
            continue
        version = _version(wanted.name)
        remedy = f'{sys.executable} -m pip install "{wanted.name}{wanted.specifier}"'
        if version is None:
            findings.append(Finding("wrong", wanted.name, "is not installed", remedy))
        elif not wanted.specifier.contains(version, prereleases=True):
            found = f"{version}, outside {wanted.specifier}"
            findings.append(Finding("wrong", wanted.name, found, remedy))
        else:
            findings.append(Finding("ok", wanted.name, version))
    if _version("matplotlib") is None:
        remedy = f'{sys.executable} -m pip install "attention-jax[views]"'
        findings.append(Finding("note", "matplotlib", "is not installed: no pictures", remedy))
    return findings


def _numbers(version: str | None) -> tuple[int, ...] | None:
    """The leading numbers of a version: "0.12.0.1" is (0, 12, 0, 1), "0.13.0rc1" is (0, 13, 0)."""
    if version is None:
        return None
    numbers = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


def _pairs() -> list[Finding]:
    """Versions that are fine each by itself and broken together; a requirement cannot say so."""
    findings = []
    jax, flax = _numbers(_version("jax")), _numbers(_version("flax"))
    if jax and flax and jax >= (0, 12) and flax <= (0, 12, 8):
        found = f"flax {_version('flax')} does not import with jax {_version('jax')}"
        remedy = 'pip install "flax>=0.12.9" (Python 3.12 or newer), or "jax<0.12"'
        findings.append(Finding("wrong", "flax and jax", found, remedy))
    for plugin in ("jax-cuda12-plugin", "jax-cuda13-plugin"):
        version, jaxlib = _version(plugin), _version("jaxlib")
        if version and jaxlib and _numbers(version) != _numbers(jaxlib):
            found = f"{plugin} {version} is not made for jaxlib {jaxlib}"
            cuda = plugin.split("-")[1]
            remedy = f'{sys.executable} -m pip install "jax[{cuda}]=={_version("jax")}"'
            findings.append(Finding("wrong", "CUDA plugin", found, remedy))
    return findings


def _imports() -> list[Finding]:
    findings = []
    for name in ("jax", "flax.nnx", "optax", "orbax.checkpoint", "grain"):
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever a broken installation raises is the finding
            found = (
                f"cannot be imported: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
            )
            remedy = "mend the versions above, or set up anew: make clean, then make test"
            findings.append(Finding("wrong", name, found, remedy))
    return findings


def _devices() -> list[Finding]:
    try:
        import jax

        devices = jax.devices()
    except Exception as error:  # no jax, or a backend that does not start
        found = f"none: {type(error).__name__}: {error}"
        remedy = "JAX_PLATFORMS=cpu runs on the CPU; else mend the driver or the plugin"
        return [Finding("wrong", "devices", found, remedy)]
    kinds = [device.device_kind for device in devices]
    found = ", ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds))
    stats = devices[0].memory_stats() if devices[0].platform != "cpu" else None
    memory = stats.get("bytes_limit") if stats else _main_memory()
    cores = f", {os.cpu_count()} cores" if devices[0].platform == "cpu" else ""
    if memory:
        found += f", {memory / 1e9:.1f} GB{' each' if stats and len(devices) > 1 else ''}"
    findings = [Finding("ok", "devices", found + cores)]
    if devices[0].platform == "cpu" and (trouble := _idle_accelerator()):
        findings.append(trouble)
    return findings


def _main_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _idle_accelerator() -> Finding | None:
    """An accelerator that this machine has and jax does not use."""
    nvidia = Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None
    tpu = Path("/dev/accel0").exists()
    if not nvidia and not tpu:
        return None
    name, extra = ("an NVIDIA GPU", "cuda13") if nvidia else ("a TPU", "tpu")
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms and not {"cuda", "gpu", "tpu"} & set(platforms.split(",")):
        found = f"{name} is here and JAX_PLATFORMS={platforms} keeps jax from it"
        return Finding("note", "accelerator", found, "unset JAX_PLATFORMS to use it")
    plugins = ("jax-cuda12-plugin", "jax-cuda13-plugin") if nvidia else ("libtpu",)
    there = [f"{plugin} {_version(plugin)}" for plugin in plugins if _version(plugin)]
    if there:
        found = f"{name} is here, {there[0]} is installed, and jax sees only the CPU"
        remedy = "look at the driver (nvidia-smi), and at what jax says when it starts"
        return Finding("wrong", "accelerator", found, remedy)
    found = f"{name} is here and jax's plugin for it is not installed"
    remedy = f"make ACCELERATOR={extra} test, or pip install 'attention-jax[{extra}]'"
    return Finding("wrong", "accelerator", found, remedy)


def _folder(subject: str, folder: Path, *, move: str = "run in another folder") -> list[Finding]:
    """Room and the right to write, where `folder` is or would be made."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            pass
        free = shutil.disk_usage(there).free
    except OSError as error:
        found = f"{folder} cannot be written to: {error.strerror}"
        return [Finding("wrong", subject, found, f"mend its owner or mode, or {move}")]
    found = f"{folder}, {free / 1e9:.1f} GB free"
    if free < LITTLE_DISK:
        return [Finding("wrong", subject, found, f"make room (2 GB), or {move}")]
    return [Finding("ok", subject, found)]


if __name__ == "__main__":
    sys.exit(doctor())
