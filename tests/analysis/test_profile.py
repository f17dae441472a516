"""Where time goes: operations that were seen, and what the command line says of a run's step."""

import json

import jax
import jax.numpy as jnp
import pytest

from attention_jax import cli
from attention_jax.analysis import profile_command
from attention_jax.analysis.profile import Ceiling, ceiling, profiled
from attention_jax.tasks.language import LanguageTask
from attention_jax.tasks.run import run
from tests.tasks.family import FAMILY

BEST = Ceiling(1e11, 1e10)


def test_a_product_is_seen_with_its_work(tmp_path):
    x = jnp.ones((256, 256))
    program = jax.jit(lambda x: jnp.tanh(x @ x)).lower(x).compile()

    def call():
        jax.block_until_ready(program(x))

    call()
    found = profiled(call, program.as_text(), tmp_path, calls=3, best=BEST)
    assert sum(one.time_share for one in found) == pytest.approx(1)
    assert [one.seconds for one in found] == sorted((one.seconds for one in found), reverse=True)
    assert 2 * 256**3 <= sum(one.flops for one in found) <= 2 * 256**3 + 3 * 256**2
    assert all(one.calls == 1 and one.seconds > 0 for one in found)
    dearest = max(found, key=lambda one: one.flops)
    assert dearest.ceiling_share == pytest.approx(
        BEST.seconds(dearest.flops, dearest.bytes) / dearest.seconds
    )
    assert list(tmp_path.rglob("perfetto_trace.json.gz"))


def test_a_program_that_did_not_run_is_not_seen(tmp_path):
    program = jax.jit(lambda x: jnp.sin(x) @ x).lower(jnp.ones((8, 8))).compile()
    with pytest.raises(ValueError, match="saw none of the program's operations on cpu"):
        profiled(lambda: None, program.as_text(), tmp_path, calls=1, best=BEST)


def test_the_ceiling_is_one_of_this_machine(monkeypatch):
    monkeypatch.setattr("attention_jax.analysis.profile.SIDE", 128)
    monkeypatch.setattr("attention_jax.analysis.profile.COPIED", 1 << 12)
    best = ceiling()
    assert 1e6 < best.flops < 1e15 and 1e6 < best.bandwidth < 1e14
    assert best.seconds(best.flops, best.bandwidth / 2) == 1


def test_the_command_shows_a_runs_dearest_operations(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(profile_command, "ceiling", lambda dtype: BEST)
    task, folder = FAMILY["language"], tmp_path / "run"
    assert isinstance(task, LanguageTask)
    run(task, folder, quiet=True, stop_after=1)
    before = sorted(path.name for path in folder.iterdir())
    earlier = folder / "profile"
    earlier.mkdir()
    for name in ("operations.json", "old"):
        (earlier / name).touch()
    assert cli.main(["profile", "--run", str(folder), "--steps", "1", "--top", "4"]) == 0
    assert not (earlier / "old").exists()  # it took the place of the earlier one
    said = capsys.readouterr().out
    assert "of the ceiling" in said and "GFLOP/s" in said
    assert said.count("| jit(step)") >= 4
    record = json.loads((folder / "profile" / "operations.json").read_text())
    assert record["step_seconds"] > 0 and len(record["operations"]) > 4
    assert sorted(path.name for path in folder.iterdir()) == sorted([*before, "profile"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "0"], "steps is 0; 1 or more would fit"),
        (["--top", "-1"], "top is -1; 1 or more would fit"),
        ([], "holds no run"),
    ],
)
def test_what_cannot_be_profiled_is_said(options, words, tmp_path, capsys):
    assert cli.main(["profile", "--run", str(tmp_path), *options]) == 2
    assert words in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something else than a profile"):
        profile_command.watched(None, None, tmp_path, seed=0, steps=1, best=BEST)  # type: ignore[arg-type]
    assert (tmp_path / "thesis.txt").read_text() == "mine"
