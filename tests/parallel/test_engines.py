"""Which engine a user's words choose, and layouts that cannot be."""

import jax
import pytest

from attention_jax.parallel.engines import REPLICATE, SINGLE, check_heads, engine
from attention_jax.parallel.layout import Layout, fitting, spec


def test_layouts_are_read_and_written():
    layout = Layout.parse("data=2, model=4")
    assert layout == Layout(data=2, model=4) and str(layout) == "data=2,model=4"
    assert (layout.size, layout.batches) == (8, 2)
    assert Layout.parse(str(Layout(sequence=8, exchange="all_to_all"))).exchange == "all_to_all"
    assert str(Layout()) == "data=1" and Layout.parse("data=1") == Layout()
    assert layout.mesh().shape == {"data": 2, "fsdp": 1, "model": 4, "sequence": 1}


@pytest.mark.parametrize(
    "text, message",
    [
        ("data", "'data' is no axis with its devices"),
        ("data=2,data=4", "comes twice"),
        ("rows=2", "of the axes data, fsdp, model, sequence"),
        ("data=-2", "is no axis"),
        ("data=0", "data=0; 1 or more would fit"),
        ("data=2,exchange=mail", "ring or all_to_all would fit"),
        ("", "is no axis"),
    ],
)
def test_layouts_that_cannot_be_read(text, message):
    with pytest.raises(ValueError, match=message):
        Layout.parse(text)


def test_a_mesh_takes_all_its_devices():
    with pytest.raises(ValueError, match="mesh data=3 takes 3 devices, and there are 8"):
        engine("data=3")


def test_letters_become_mesh_axes():
    P = jax.sharding.PartitionSpec
    assert spec("B T H K") == P(("data", "fsdp"), "sequence", "model", None)
    assert spec("B T D") == P(("data", "fsdp"), "sequence", None)
    assert spec("D F") == P("fsdp", "model") and spec("V D") == P("model", "fsdp")
    mesh = Layout(fsdp=2, model=4).mesh()
    assert fitting("V D", (45, 32), mesh) == P(None, "fsdp")


def test_the_engine_is_what_is_asked_for():
    assert engine("auto") == SINGLE  # the devices of these tests are parts of one processor
    assert engine("single") == SINGLE and engine("replicate") == REPLICATE
    assert engine("data=2,model=4") == Layout(data=2, model=4)
    with pytest.raises(ValueError, match="mesh is 'pmap'; auto, single, replicate"):
        engine("pmap")


def test_the_engine_of_several_accelerators_or_processes(monkeypatch):
    class Chip:
        platform = "tpu"

    monkeypatch.setattr(jax, "devices", lambda: [Chip()] * 4)
    assert engine("auto") == REPLICATE
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert engine("auto") == Layout(data=4)
    with pytest.raises(ValueError, match="is for one process, and there are 2.*data=4"):
        engine("replicate")


def test_heads_must_be_cut_evenly():
    check_heads(Layout(model=4), [8, 4])
    with pytest.raises(ValueError, match="2 heads or key/value heads cannot be cut into 4 parts"):
        check_heads(Layout(model=4), [8, 2])
    with pytest.raises(ValueError, match=r"into 8 parts \(model=2,sequence=4 \(all_to_all\)\)"):
        check_heads(Layout(model=2, sequence=4, exchange="all_to_all"), [4])
