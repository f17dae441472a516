"""The experiments that compare: short, complete, and each runs."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from attention_jax.comparison.labels import labels
from attention_jax.comparison.plan import SMALL, planned

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))
GRIDS = [
    name
    for name in EXPERIMENTS
    if "comparison.command import" in (ROOT / f"experiments/{name}.py").read_text()
]


@pytest.mark.parametrize("name", GRIDS)
def test_experiments_are_short_and_their_grids_can_be_built(name):
    path = ROOT / "experiments" / f"{name}.py"
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 80
    for part in ("Question:", "Source:", "Command:"):
        assert part in text
    module = importlib.import_module(f"experiments.{name}")
    base = getattr(module, "BASE", SMALL)
    option = re.findall(r'option="(\w+)"', text)[0]
    for words in ([], ["--smoke"], ["--full"]):
        found = planned(module.variants, base, module.SIZES, words, program=name, option=option)
        size = module.SIZES[found.size]
        variants = len(module.variants(base, size.values))
        assert variants >= len(size.values)
        assert len(found.experiments) == variants * size.seeds
        assert len(set(labels(found.experiments))) == variants
    smoke = planned(module.variants, base, module.SIZES, ["--smoke"], program=name, option=option)
    assert all(one.training.steps <= 8 for one in smoke.experiments)


def test_all_comparisons_are_tested():
    wanted = {"head_counts", "head_sizes", "matched_parameters", "key_value_heads", "one_long_head"}
    assert wanted <= set(GRIDS)


ALIKE = (
    "alignment",
    "head_sizes",
    "key_value_heads",
    "matched_parameters",
    "one_long_head",
    "one_sequence",
    "reverse",
    "sentence_length",
)
"""grids that take the path of head_counts with other sizes, the task of notebook 3, or other
kinds of models"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.exhaustive] if name in ALIKE else []) for name in GRIDS],
)
def test_smoke(name, environment, tmp_path):
    command = [sys.executable, "-m", f"experiments.{name}", "--smoke", "--out", tmp_path / "o"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o" / "report" / "index.html").exists()
