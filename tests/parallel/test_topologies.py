"""Devices that are not here: how they are written, joined, and what is missing to compile."""

import importlib.util
import math
from types import SimpleNamespace

import pytest

from attention_jax.parallel.topologies import CHIPS, Topology


@pytest.mark.parametrize("text, shape, size", [
    ("v5e:16x16", (16, 16), 256),
    ("v5e:8", (2, 4), 8),
    ("V6E:4x4", (4, 4), 16),
    ("v5p:4x4x4", (4, 4, 4), 64),
    ("v5p:64", (4, 4, 4), 64),
    ("h200:8", (1, 8), 8),
    ("h200:2", (1, 2), 2),
    ("h100:64", (8, 8), 64),
    ("cpu:8", (8,), 8),
])  # fmt: skip
def test_as_they_are_written(text, shape, size):
    found = Topology.parse(text)
    assert (found.shape, found.size) == (shape, size)
    assert Topology.parse(str(found)) == found


@pytest.mark.parametrize("text, said", [
    ("v9:4", "of the kinds v5e, v5p, v6e, h100, h200, cpu"),
    ("v5e", "such as v5e:4x4"),
    ("v5e:0x4", "such as v5e:4x4"),
    ("v5e:7", "1x1, 2x2, 2x4"),
    ("v5e:2x2x2", "1x1, 2x2, 2x4"),
    ("v5p:4x4", "2x2x1, 2x2x2"),
    ("h200:12", "such as 8 or 16"),
    ("h200:2x4", "such as h200:8"),
])  # fmt: skip
def test_what_is_no_topology_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        Topology.parse(text)


def grid(topology):
    """Devices with the coordinates that the compilers give them."""
    shape = topology.shape
    sides = (0, *shape) if topology.chip.platform == "cuda" else (*shape, 1, 1)[:3]
    places = [[]]
    for side in sides:
        places = [[*place, i] for place in places for i in range(max(side, 1))]
    return [SimpleNamespace(coords=place) for place in places]


def at(topology, **fixed):
    return [
        each
        for each in grid(topology)
        if all(each.coords["xyz".index(side)] == place for side, place in fixed.items())
    ]


@pytest.mark.parametrize("text, fixed, links", [
    ("v5e:16x16", {}, 4),  # both sides are closed
    ("v5e:16x16", {"x": 0}, 2),
    ("v5e:8x8", {}, 2),  # no side is
    ("v5e:8x8", {"x": 3}, 1),
    ("v5p:2x2x2", {}, 3),
    ("v5p:4x4x4", {}, 6),
    ("v5p:4x4x4", {"x": 0, "y": 1}, 2),
])  # fmt: skip
def test_links_of_a_grid(text, fixed, links):
    topology = Topology.parse(text)
    assert topology.rate(at(topology, **fixed)) == links * topology.chip.link
    assert topology.rate(at(topology, **fixed), pairs=True) == topology.chip.link


def test_a_part_of_a_closed_side_is_a_line():
    topology = Topology.parse("v5e:16x16")
    half = at(topology, x=0)[:8]
    assert topology.rate(half) == topology.chip.link


def test_hosts_of_gpus():
    topology = Topology.parse("h200:64")
    devices, chip = grid(topology), topology.chip
    assert topology.rate(devices[:8]) == chip.link == 450e9
    assert topology.rate(devices) == 8 * chip.network == 400e9
    assert topology.rate(devices[::8]) == chip.network  # one of each host
    assert topology.rate([devices[0], devices[8]], pairs=True) == chip.network
    assert topology.rate(devices[:1]) == math.inf


def test_a_chip_is_not_faster_than_its_links_and_memory():
    for chip in CHIPS.values():
        if chip.platform != "cpu":
            assert chip.network < chip.link < chip.bandwidth < chip.float32 <= chip.bfloat16
            assert 15 * 2**30 < chip.memory < 200e9


def test_devices_of_the_cpu_are_real():
    assert len(Topology.parse("cpu:8").devices()) == 8
    with pytest.raises(ValueError, match="JAX_NUM_CPU_DEVICES=9"):
        Topology.parse("cpu:9").devices()


def test_without_the_compiler_or_its_environment_a_line_says_what_to_do(monkeypatch):
    topology = Topology.parse("v5e:2x2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="make ACCELERATOR=tpu setup"):
        topology.devices()
    with pytest.raises(ValueError, match="make ACCELERATOR=cuda13 setup"):
        Topology.parse("h200:8").devices()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.delenv("TPU_SKIP_MDS_QUERY", raising=False)
    with pytest.raises(ValueError, match="TPU_SKIP_MDS_QUERY=1 before Python starts"):
        topology.devices()
