"""Training steps compiled for devices, and what is said of them."""

import dataclasses
import importlib.util
import json
import math
import os
import subprocess
import sys

import jax
import pytest

from attention_jax.data.batches import blank
from attention_jax.models.decoder_only import DecoderOnly, DecoderOnlyConfig
from attention_jax.parallel import plan_command
from attention_jax.parallel.advice import advice
from attention_jax.parallel.dryrun import DryRun
from attention_jax.parallel.forecast import out_of_memory
from attention_jax.parallel.layout import Layout
from attention_jax.parallel.plan_words import words_of
from attention_jax.parallel.topologies import CHIPS, GIB, Topology
from attention_jax.training.training_config import TrainingConfig

ROWS, LENGTH = 16, 8
TINY = DecoderOnlyConfig(
    vocabulary=64, width=16, layers=1, heads=2, feed_forward=32, context=LENGTH
)


def planned(mesh):
    """A dry run of a tiny model on the fake devices, and its forecast."""
    layout = Layout.parse(mesh)
    devices = Topology.parse(f"cpu:{layout.size}")

    def make(rngs):
        return DecoderOnly(TINY, rngs=rngs)

    run = DryRun(make, TrainingConfig(), devices, layout, sources=False)
    return run, run.forecast(ROWS, LENGTH)


@pytest.fixture(scope="module")
def by_data():
    return planned("data=8")


def test_state_and_batch_are_what_goes_in(by_data):
    run, forecast = by_data
    params = sum(leaf.size for leaf in jax.tree.leaves(run.structs.params))
    assert forecast.parameters == params and forecast.gradients == 4 * params
    assert 3 * 4 * params <= forecast.state <= 3 * 4 * params + 64  # Adam: mean and square
    batch = 3 * (ROWS // 8) * LENGTH * 4
    assert forecast.arguments == forecast.state + batch
    assert forecast.held > forecast.arguments and forecast.compiled
    sums = forecast.sent["all-reduce"]["bytes"]
    assert sums >= 2 * 7 / 8 * 4 * params  # all gradients, everywhere


def test_fsdp_cuts_the_state_and_sequences_travel(by_data):
    _, forecast = planned("fsdp=4,sequence=2")
    assert (
        by_data[1].state / 4 <= forecast.state < by_data[1].state / 3
    )  # heads and norms are whole
    assert forecast.sent["all-gather"]["bytes"] > 0
    assert forecast.sent["collective-permute"]["count"] > 0


def test_arithmetic_by_hand(by_data):
    """6 operations a weight and token, and the logits of attention; its shield adds a little."""
    weights = 4 * 16 * 16 + 2 * 16 * 32 + 16 * 64
    tokens = ROWS * LENGTH
    by_hand = 6 * weights * tokens + 3 * 2 * 2 * tokens * LENGTH * 16
    run, forecast = by_data
    assert forecast.model_flops == pytest.approx(by_hand / 8, rel=0.01)
    assert forecast.flops >= forecast.model_flops
    assert run.put_structs(blank(ROWS, LENGTH)).source.shape == (ROWS, 0)


def test_a_batch_that_is_not_divided_is_refused(by_data):
    with pytest.raises(ValueError, match="cuts a batch into 8 parts of rows"):
        by_data[0].forecast(12, LENGTH)


def test_times_are_those_of_the_chip(by_data):
    run, forecast = by_data
    assert math.isnan(forecast.seconds) and forecast.fits is None  # fake devices have no figures
    json.dumps(forecast.to_json(), allow_nan=False)
    times = {"arithmetic_seconds": 2.0, "memory_seconds": 3.0, "collective_seconds": 1.0}
    known = dataclasses.replace(forecast, **times, peak=forecast.model_flops)
    assert known.seconds == 4 and known.share_in_collectives == 1 / 4
    assert known.share_of_peak == 1 / 4
    assert known.tokens_per_second == ROWS * LENGTH / 4


def on_a_chip(forecast, name="v5e", *, state, rest, **changes):
    """The forecast with so many GiB on a chip."""
    sizes = {
        "state": int(0.75 * state * GIB),
        "gradients": int(0.25 * state * GIB),
        "arguments": int(0.75 * state * GIB),
        "temporaries": int((0.25 * state + rest) * GIB),
        "results": 0,
        "memory": CHIPS[name].memory,
    }
    return dataclasses.replace(forecast, topology=f"{name}:2x4", **sizes, **changes)


def test_headroom_decides(by_data):
    assert on_a_chip(by_data[1], state=4, rest=10.4).fits
    assert on_a_chip(by_data[1], state=4, rest=10.6).fits is False
    assert dataclasses.replace(on_a_chip(by_data[1], state=1, rest=1), compiled=False).fits is False


def test_what_the_compiler_says_when_there_is_too_little(by_data):
    said = (
        "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory "
        "required for HLO temporaries (136.13G) exceeds available HBM (15.75G)."
    )
    found = out_of_memory(said, 2 * GIB)
    forecast = dataclasses.replace(by_data[1], compiled=False, **found)
    assert forecast.held == int(136.13 * GIB) and forecast.fits is False
    assert json.loads(json.dumps(forecast.to_json()))["seconds"] is None
    assert "DOES NOT FIT" in "\n".join(words_of(forecast, "big", []))


@pytest.mark.parametrize("state, rest, wanted", [
    (1, 1, []),
    (20, 1, ["--mesh data=4,fsdp=2 would fit: about 11.00 GiB"]),
    (1, 20, ["--training.compute bfloat16 would fit", "--rows 32 would fit: about 11.00 GiB"]),
    (40, 40, ["--mesh data=2,fsdp=4 and --rows 8 and --training", "--mesh"]),
    (900, 1, ["no cut of rows and state makes it fit on 8 devices: 8 times as many"]),
])  # fmt: skip
def test_advice(by_data, state, rest, wanted):
    forecast = on_a_chip(by_data[1], state=state, rest=rest, rows=64)
    lines = advice(forecast, Layout(data=8))
    assert bool(lines) == bool(wanted) and len(lines[1:]) == len(wanted)
    for line, words in zip(lines[1:], wanted, strict=True):
        assert words in line


def test_words(by_data):
    times = {"arithmetic_seconds": 2e-3, "memory_seconds": 3e-3, "collective_seconds": 1e-3}
    forecast = on_a_chip(by_data[1], state=20, rest=1, **times, peak=197e12)
    text = "\n".join(words_of(forecast, "big", ["--rows 8 would fit"]))
    for words in ("21.00 GiB of 15.75, 8% left free: DOES NOT FIT", "4 ms", "25.0% of the step"):
        assert words in text
    assert text.endswith("--rows 8 would fit")
    assert "FITS" in "\n".join(words_of(on_a_chip(by_data[1], state=1, rest=1), "big", []))


@pytest.mark.parametrize("words, said", [
    ("--topology v5e:2x2 --mesh data=8", "mesh data=8 takes 8 devices, and v5e:2x2 are 4"),
    ("--topology v5e:2x2 --rows 0", "rows is 0; 1 or more would fit"),
    ("--topology v5e:2x2 --modell.width 3", "perhaps you meant --model.width"),
    ("--topology cpu:8 --mesh data=8 --rows 12", "12 rows of 128 do not divide"),
    ("--mesh data=8", "--topology is missing"),
])  # fmt: skip
def test_the_command_refuses_in_a_line(monkeypatch, words, said):
    monkeypatch.setenv(plan_command.INSIDE, "1")
    with pytest.raises(ValueError) as error:
        plan_command.plan(words.split())
    assert said in str(error.value)


def test_the_command_answers(monkeypatch, capfd):
    """In a process of its own, for as many fake devices as are asked for."""
    small = "--decoder.width 16 --decoder.layers 1 --decoder.heads 2 --decoder.feed-forward 16"
    words = f"--topology cpu:3 --vocabulary 32 {small} --rows 3 --length 4 --json"
    assert plan_command.plan(words.split()) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["devices"] == 3 and found["mesh"] == "data=3" and found["fits"] is None
    assert found["sent"]["all-reduce"]["count"] >= 1


@pytest.mark.slow
def test_a_slice_of_tpus_that_is_not_here():
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("libtpu is not installed")
    words = "--topology v5e:2x2 --mesh fsdp=2,model=2 --decoder.preset gpt-shakespeare"
    command = [sys.executable, "-m", "attention_jax.parallel.plan_command", *words.split()]
    clean = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
    run = subprocess.run([*command, "--json"], capture_output=True, text=True, env=clean)
    assert run.returncode == 0 and run.stderr == "", run.stderr
    found = json.loads(run.stdout)
    assert found["fits"] and found["parameters"] == 805_248 and 0 < found["seconds"] < 1e-2
    assert {"all-reduce", "all-gather"} <= set(found["sent"])
