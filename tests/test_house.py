"""The rules of the house that no other tool holds: the lock, the set-up, the cost of an import."""

import ast
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text().splitlines()
STACKS = {"3.11": ("0.10.2", "0.12.8"), "3.12": ("0.12.0.1", "0.12.12")}  # jax, flax
SOURCES = sorted((ROOT / "attention_jax").rglob("*.py"))


def applies(requirement, python):
    there = {
        "python_version": python,
        "python_full_version": f"{python}.5",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "extra": "",
    }
    return requirement.marker is None or requirement.marker.evaluate(there)


def ranges(python, *extras):
    """Package name -> what pyproject.toml allows on that Python."""
    texts = list(PROJECT["dependencies"])
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    wanted = [one for one in map(Requirement, texts) if applies(one, python)]
    names = [one.name.replace("_", "-") for one in wanted]
    assert len(names) == len(set(names)), "two ranges for one package"
    return dict(zip(names, (one.specifier for one in wanted), strict=True))


# The lock and the ranges.


def test_the_lock_names_versions_and_no_place():
    for line in LOCK:
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; [\w\s.'<>=!()]+)?", line), line


@pytest.mark.parametrize("python", STACKS)
def test_the_lock_is_within_the_ranges(python):
    locked = {}
    for one in filter(lambda one: applies(one, python), map(Requirement, LOCK)):
        assert one.name not in locked, f"{one.name} twice for Python {python}"
        locked[one.name] = str(one.specifier).removeprefix("==")
    for name, allowed in ranges(python, "views", "notebooks", "test", "lint", "house").items():
        assert allowed.contains(locked[name]), f"{name} {locked[name]}, wanted {allowed}"
    assert (locked["jax"], locked["flax"]) == STACKS[python]


def test_the_ranges_admit_what_lies_between_and_not_the_broken_pair():
    assert ranges("3.12")["jax"].contains("0.11.2")
    assert ranges("3.12")["flax"].contains("0.12.12")
    for python in ("3.11", "3.12", "3.13"):
        both = ranges(python)
        assert not (both["jax"].contains("0.12.0.1") and both["flax"].contains("0.12.8")), python
        assert not both["orbax-checkpoint"].contains("1.0.0")


# The set-up, with a Python, a pip and a uv that only pretend.

FAKE_PYTHON = """#!/bin/sh
case "$*" in
  -c*) echo "{described}" ;;
  "-m venv --clear "*) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  "-m pip "*) {pip} ;;
esac
"""
TOOLS = "sh cat sed grep tail cut cksum date dirname basename df awk ls mkdir rm cp uname"


class House:
    """A copy of the set-up in a folder of its own; on the PATH is only what is put there."""

    def __init__(self, folder):
        self.folder, self.bin = folder / "house", folder / "bin"
        self.bin.mkdir(parents=True)
        (self.folder / ".ci").mkdir(parents=True)
        for name in (".ci/setup", "Makefile", "pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / name, self.folder / name)
        for tool in TOOLS.split():
            (self.bin / tool).symlink_to(shutil.which(tool) or pytest.skip(f"no {tool} here"))
        self.program("sleep", "#!/bin/sh\n")  # nothing here takes so long that it must be awaited

    def program(self, name, text):
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def python(self, name, described, pip="exit 0"):
        self.program(name, FAKE_PYTHON.format(described=described, pip=pip))

    def setup(self, **variables):
        environment = {"PATH": str(self.bin), "HOME": str(self.folder), **variables}
        done = subprocess.run(
            [self.bin / "sh", ".ci/setup"],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        said = done.stdout + done.stderr
        assert len(said.splitlines()) < 12, said
        return done.returncode, said


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


UV = '#!/bin/sh\necho "$*" >>uv.log\n'


def test_setup_without_a_python(house):
    code, said = house.setup()
    assert code == 1 and "found: none at all" in said and "apt install python3" in said


def test_setup_names_the_old_python_that_it_found(house):
    house.python("python3", "3.9.2 old /usr")
    code, said = house.setup()
    assert code == 1 and "Python 3.11 or newer is needed; found: python3 (3.9.2)" in said
    code, said = house.setup(PYTHON="python3")
    assert code == 1 and "PYTHON=python3 does not fit" in said


def test_setup_without_the_venv_module(house):
    house.python("python3", "3.12.4 ensurepip /usr")
    code, said = house.setup()
    assert code == 1 and "apt install python3.12-venv" in said


def test_setup_prefers_a_python_that_can_make_environments(house):
    house.python("python3.12", "3.12.4 ensurepip /usr")
    house.python("python3.11", "3.11.2 fits /usr")
    house.program("uv", UV)
    assert "with Python 3.11.2" in house.setup()[1]


def test_setup_refuses_an_unknown_accelerator(house):
    code, said = house.setup(ACCELERATOR="cuda99")
    assert code == 1 and "ACCELERATOR=cuda99" in said
    assert all(word in said for word in ("cpu", "cuda12", "cuda13", "tpu"))


@pytest.mark.parametrize("pip, message", [
    ("echo 'NewConnectionError: Temporary failure in name resolution'", "No network"),
    ("echo '[SSL: CERTIFICATE_VERIFY_FAILED]'", "certificate that is not trusted"),
    ("echo 'OSError: [Errno 28] No space left on device'", "The disk is full"),
    ("echo 'something new'", "The set-up failed: something new"),
])  # fmt: skip
def test_setup_says_in_few_words_why_nothing_came(house, pip, message):
    house.python("python3.12", "3.12.4 fits /usr", pip=f"{pip}; exit 1")
    code, said = house.setup()
    assert code == 1 and message in said and ".cache/setup-.venv.log" in said


def test_setup_without_room(house):
    house.python("python3.12", "3.12.4 fits /usr")
    house.program("df", "#!/bin/sh\necho head; echo disk 9 9 102400 99% /\n")
    code, said = house.setup()
    assert code == 1 and "needs about 2500 MB" in said and "100 MB are free" in said


def test_setup_is_done_once_and_again_when_something_changed(house):
    house.python("python3.12", "3.12.4 fits /usr")
    house.python("python3.11", "3.11.2 fits /opt")
    house.program("uv", UV)
    asked = house.folder / "uv.log"

    code, said = house.setup()
    assert code == 0 and "Ready" in said and "-r requirements.lock" in asked.read_text()
    assert house.setup() == (0, "")

    code, said = house.setup(ACCELERATOR="cuda13")
    assert code == 0 and "jax[cuda13]" in asked.read_text()
    assert house.setup() == (0, "")  # keeps the accelerator that it was given

    code, said = house.setup(PYTHON="python3.11")
    assert code == 0 and "was made with Python 3.12.4: starting it over with 3.11.2" in said
    (house.folder / ".venv/.unfinished").touch()
    code, said = house.setup(PYTHON="python3.11")
    assert code == 0 and "cut short" in said
    assert house.setup(PYTHON="python3.11") == (0, "")


def test_setup_leaves_the_environment_of_somebody_else_alone(house):
    house.python("python3.12", "3.12.4 fits /usr")
    theirs = house.folder / ".venv/bin/python"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("#!/bin/sh\necho 3.9.2 old /usr\n")
    theirs.chmod(0o755)
    code, said = house.setup()
    assert code == 1 and "not made by this Makefile" in said and theirs.exists()


def test_make_alone_explains_itself():
    make = shutil.which("make") or pytest.skip("no make here")
    said = subprocess.run(
        [make, "-C", ROOT, "--no-print-directory"], capture_output=True, text=True
    )
    assert said.returncode == 0 and "make heads" in said.stdout


# The package.


def test_importing_the_package_loads_no_heavy_part():
    heavy = "flax optax orbax grain matplotlib tensorflow_datasets tensorflow torch tyro sacrebleu"
    code = "import sys, attention_jax; print(*[n for n in sys.argv[1:] if n in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code, *heavy.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.strip() == ""


@pytest.mark.slow
def test_importing_the_package_costs_little_more_than_jax():
    def seconds(module):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], cwd=ROOT, check=True)
        return time.perf_counter() - start

    seconds("attention_jax")  # fills the caches of bytecode and of the disk
    extra = [seconds("attention_jax") - seconds("jax") for _ in range(7)]
    assert statistics.median(extra) <= 0.3


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_of_the_package(path):
    text = path.read_text()
    # 300 is the wish (CONTRIBUTING.md), 400 the end; tables of words are no ideas.
    assert len(text.splitlines()) <= 400 or "phrasebook" in path.parts, "this holds two ideas"
    assert not {"torch", "tensorflow", "pickle"} & set(imports(path))
    assert path.name not in ("utils.py", "common.py", "helpers.py")


@pytest.mark.parametrize("script", [".ci/run", ".ci/setup"])
def test_scripts_can_be_run(script):
    assert os.access(ROOT / script, os.X_OK)
