"""Real processes on this machine: same losses, one checkpoint, and nobody waits for the dead."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from attention_jax import configs
from attention_jax.experiment import run
from attention_jax.parallel import processes
from attention_jax.parallel.mesh import own_part
from attention_jax.training import checkpoint, peers
from attention_jax.training.manifest import read_manifest
from attention_jax.training.signals import SAVED
from tests.tiny_run import tiny, write_corpus

PROGRAM = (
    "import jax; jax.config.update('jax_num_cpu_devices', 1);"
    "from attention_jax.cli import command; command()"
)

QUICK = {
    "JAX_PLATFORMS": "cpu",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""what makes compiling, most of such a run's time, short"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Together:
    """Processes of one run, each with one device."""

    def __init__(self, folder, count, *, mesh, experiment=None):
        self.folder = folder
        if experiment is not None:
            folder.mkdir()
            text = json.dumps(configs.to_json(experiment))
            (folder / "config.json").write_text(text, "utf-8")
        where = ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", str(count)]
        words = ["train", "--run", str(folder), "--mesh", mesh, *where]
        environment = dict(os.environ, PYTHONPATH=os.getcwd(), **QUICK)
        environment["JAX_COMPILATION_CACHE_DIR"] = str(folder.parent / "compiled")
        environment["JAX_ENABLE_COMPILATION_CACHE"] = "1"
        environment.pop("XLA_FLAGS", None)
        self.each = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *words, "--process", str(number)],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(count)
        ]

    def wait_for(self, step):
        """Until there is a checkpoint of this step or a later one."""
        end = time.monotonic() + 100
        while time.monotonic() < end:
            if max(checkpoint.finished(self.folder / "checkpoints"), default=0) >= step:
                return
            assert all(one.poll() is None for one in self.each), self.end()
            time.sleep(0.05)
        raise AssertionError(f"step {step} was not reached: {self.end()}")

    def end(self):
        """(exit code, what it said) of each."""
        try:
            said = [one.communicate(timeout=100)[1] for one in self.each]
        finally:
            for one in self.each:
                one.kill()
        return list(zip((one.returncode for one in self.each), said, strict=True))


def lines(folder):
    path = folder / "metrics.jsonl"
    text = path.read_text("utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def losses(folder):
    return {(line["step"], line["split"]): line["loss"] for line in lines(folder)}


def bits(folder):
    last = folder / "checkpoints" / str(checkpoint.finished(folder / "checkpoints")[-1])
    return {name: leaf.sha256 for name, leaf in read_manifest(last).leaves.items()}


def same_losses(folder, other):
    found, wanted = losses(folder), losses(other)
    assert found.keys() == wanted.keys()
    np.testing.assert_allclose(list(found.values()), list(wanted.values()), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_as_one_killed_resumed_and_on_other_meshes(tmp_path):
    experiment = tiny(write_corpus(tmp_path / "corpus"), checkpoint_every=5)
    model = replace(experiment.model, dropout=0.0)
    experiment = replace(experiment, model=model)
    two = {"mesh": "data=2", "experiment": experiment}

    killed = Together(tmp_path / "killed", 2, **two)
    killed.wait_for(5)
    killed.each[1].kill()
    began = time.monotonic()
    # The survivor finds out while others work.
    whole = Together(tmp_path / "whole", 2, **two)
    run(experiment, tmp_path / "alone", quiet=True, mesh="single")
    (code, said), _ = killed.end()
    assert code == processes.LOST and time.monotonic() - began < 60, said
    assert re.search("attention-jax: process 0: process 1 gave no sign of life", said), said
    assert [code for code, _ in whole.end()] == [0, 0]
    same_losses(tmp_path / "whole", tmp_path / "alone")

    killed = Together(tmp_path / "killed", 2, mesh="data=2")
    four = Together(tmp_path / "four", 4, mesh="fsdp=2,model=2", experiment=experiment)
    assert [code for code, _ in killed.end()] == [0, 0]
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert bits(tmp_path / "killed") == bits(tmp_path / "whole")

    four.wait_for(5)
    four.each[2].send_signal(signal.SIGTERM)  # asked once, all stop at one step
    ends = four.end()
    assert [code for code, _ in ends] == [SAVED] * 4, ends
    assert (
        len({step for _, said in ends for step in re.findall(r"step (\d+) of 24, which", said)})
        == 1
    )
    last = checkpoint.finished(tmp_path / "four" / "checkpoints")[-1]
    leaves = read_manifest(tmp_path / "four" / "checkpoints" / str(last)).leaves
    assert {len(leaf.shards) for leaf in leaves.values()} >= {0, 2, 4}
    run(experiment, tmp_path / "four", quiet=True, mesh="single")
    same_losses(tmp_path / "four", tmp_path / "alone")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (("localhost:1", 2, None), "come together"),
        ((None, 2, 0), "come together"),
        (("localhost", 2, 0), "HOST:PORT of process 0"),
        (("localhost:99999", 2, 0), "HOST:PORT of process 0"),
        (("localhost:8476", 2, 2), "process is 2 of 2; a number from 0 to 1 would fit"),
        (("localhost:8476", 0, 0), "process is 0 of 0"),
    ],
)
def test_refuses_what_does_not_fit_together(where, message):
    with pytest.raises(ValueError, match=message):
        processes.join(*where)


def test_a_port_in_use_is_refused_and_another_asked_for():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        with pytest.raises(OSError, match="port cannot be had.*another would fit"):
            processes.join(f"localhost:{taken.getsockname()[1]}", 2, 0)


def test_without_a_coordinator_there_is_a_line_and_an_end():
    script = (
        "from attention_jax.parallel.processes import join;"
        f"join('127.0.0.1:{free_port()}', 2, 1, patience=1)"
    )
    environment = dict(os.environ, PYTHONPATH=os.getcwd())
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert re.search(r"process 0 cannot be reached at 127.0.0.1:\d+ within 1 s", done.stderr)


def test_one_process_asks_and_answers_itself(capfd):
    with processes.joined("localhost:1", 1, 0):
        assert (processes.index(), processes.count(), processes.writes()) == (0, 1, True)
        assert peers.gather({"a": 1}) == [{"a": 1}] and peers.share(None) is None
        peers.barrier("alone")
        print("said")
    assert capfd.readouterr().out == "said\n"


class Device:
    def __init__(self, process):
        self.process_index = process


@pytest.mark.parametrize(
    ("owners", "shape", "part"),
    [
        ([0, 1, 2, 3], (4, 1, 1, 1), (0, 4)),
        ([1, 1, 0, 0], (4, 1, 1, 1), (1, 2)),
        ([1, 1, 0, 0], (2, 1, 2, 1), (1, 2)),
        ([0, 1, 0, 1], (2, 1, 2, 1), (0, 1)),  # a share of the heads, so of all rows
        ([0, 1, 2, 3], (1, 2, 1, 2), (0, 2)),
        ([0, 1, 1, 0], (4, 1, 1, 1), (0, 1)),  # no run of rows: takes all, uses some
    ],
)
def test_every_process_reads_the_rows_of_its_devices(owners, shape, part):
    devices = np.array([Device(owner) for owner in owners], object).reshape(shape)
    axes = dict(zip(("data", "fsdp", "model", "sequence"), shape, strict=True))
    mesh: Any = SimpleNamespace(devices=devices, shape=axes)
    assert own_part(mesh) == part
