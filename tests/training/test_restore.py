import json
import shutil
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.training import checkpoint, peers
from attention_jax.training.checkpoint import Checkpoints, flatten
from attention_jax.training.manifest import Damaged, origin_of, read_manifest
from attention_jax.training.restore import Found, drop


class State(NamedTuple):
    params: Any
    step: Any


def state(number):
    noise = np.random.default_rng(number).normal(size=(50, 40)).astype(np.float32)
    return State({"kernel": noise, "scale": jnp.ones(3, jnp.bfloat16)}, np.int32(number))


STRUCTS = jax.eval_shape(lambda: state(0))
ORIGIN = origin_of({"seed": 1, "model": {"width": 8}}, {"jax": "1"}, tokenizer="t", data="d")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run of steps 2, 4, 6, 8, whose best is 4."""
    folder = tmp_path_factory.mktemp("saved")
    with Checkpoints(folder / "checkpoints", keep=4, every=2, origin=ORIGIN) as saver:
        for step in (2, 4, 6, 8):
            best = 2 if step == 2 else 4
            saver.save(step, state(step), {"best_step": best, "best_loss": 1.5}, best=best)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run")


def found(folder, **options):
    return Found(folder, STRUCTS, every=2, average=2, **options)


def spoil(folder, step, part="state"):
    """Changes a byte in the middle of the largest file."""
    files = [
        path for path in (folder / "checkpoints" / str(step) / part).rglob("*") if path.is_file()
    ]
    largest = max(files, key=lambda path: path.stat().st_size)
    raw = bytearray(largest.read_bytes())
    raw[len(raw) // 2] ^= 1
    largest.write_bytes(raw)


def test_goes_on_from_the_newest(folder):
    looked = found(folder)
    assert looked.newest() == 8
    restored = looked.take(8)
    for name, leaf in flatten(state(8)).items():
        np.testing.assert_array_equal(flatten(restored.state)[name], leaf)
    assert restored.record == {"best_step": 4, "best_loss": 1.5}
    assert found(folder / "elsewhere").newest() is None


@pytest.mark.parametrize("part", ["state", "manifest"])
@pytest.mark.parametrize(
    ("bad", "start", "left"),
    [
        ((8,), 6, [2, 4, 6]),  # the newest
        ((6,), 4, [2, 4]),  # a member of the mean: made again from the one before
        ((4,), 2, [2]),  # the best, as well
        ((4, 8), 2, [2]),
        ((2, 4, 6), 8, [8]),  # nothing is before the best: go on without it
    ],
)
def test_what_is_damaged_is_set_aside_and_made_again(folder, capfd, bad, start, left, part):
    for step in bad:
        spoil(folder, step, part)
    looked = found(folder)
    assert looked.newest() == start
    restored = looked.take(start)
    assert int(restored.state.step) == start
    assert checkpoint.finished(folder / "checkpoints") == left
    aside = sorted(int(path.name) for path in (folder / "damaged").iterdir())
    assert set(aside) == set(bad) - {step for step in bad if step not in looked.damage}
    said = capfd.readouterr().err
    for step in aside:
        assert f"checkpoints/{step} is damaged" in said
        assert f"going on from step {start}" in said
    lost = start == 8
    assert (restored.record["best_step"] is None) == lost
    assert ("looked for anew" in said) == lost


def test_a_process_that_does_not_write_moves_nothing(folder, capfd, monkeypatch):
    spoil(folder, 8)
    spoil(folder, 4)
    monkeypatch.setattr(peers, "writes", lambda: False)
    looked = found(folder)
    assert looked.newest() == 2
    restored = looked.take(2)
    assert int(restored.state.step) == 2
    assert restored.record == {"best_step": 2, "best_loss": 1.5}
    assert checkpoint.finished(folder / "checkpoints") == [2, 4, 6, 8]  # another one's to move
    assert capfd.readouterr() == ("", "")


def test_processes_that_see_other_checkpoints_are_told_to_share_a_folder(folder, monkeypatch):
    monkeypatch.setattr(peers, "gather", lambda value: [value, None])
    with pytest.raises(ValueError, match="step 8, None as the processes see it.*share would fit"):
        found(folder).newest()


def test_all_damaged_is_refused_and_left_in_its_place(folder):
    for step in (2, 4, 6, 8):
        spoil(folder, step)
    with pytest.raises(Damaged, match="all 4 checkpoints.*newest: .*8 is damaged.*would fit"):
        found(folder).newest()
    assert checkpoint.finished(folder / "checkpoints") == [2, 4, 6, 8]


def test_the_same_step_can_be_set_aside_twice(folder, saved):
    for _ in range(2):
        spoil(folder, 8)
        looked = found(folder)
        assert looked.newest() == 6
        looked.take(6)
        shutil.copytree(saved / "checkpoints" / "8", folder / "checkpoints" / "8")
    assert sorted(path.name for path in (folder / "damaged").iterdir()) == ["8", "8-2"]


def test_what_a_kill_left_of_a_dropped_step_is_in_nobodys_way(folder):
    (folder / "dropped-8" / "state").mkdir(parents=True)
    drop(folder, [8])
    assert checkpoint.finished(folder / "checkpoints") == [2, 4, 6]
    assert not (folder / "dropped-8").exists()


def test_a_step_that_lacks_its_files_is_damaged(folder):
    shutil.rmtree(folder / "checkpoints" / "8" / "state")
    shutil.rmtree(folder / "checkpoints" / "6" / "manifest")
    assert found(folder).newest() == 4


def test_another_runs_checkpoints_are_refused_field_by_field(folder):
    other = origin_of({"seed": 2, "model": {"width": 16}}, {}, tokenizer="u", data="d")
    with pytest.raises(ValueError) as caught:
        found(folder, origin=other).newest()
    message = str(caught.value)
    for part in ("seed is 1 there and 2 here", "model.width is 8 there and 16 here"):
        assert part in message
    assert "the tokenizer is another" in message and "the data" not in message
    assert not isinstance(caught.value, Damaged)
    assert checkpoint.finished(folder / "checkpoints") == [2, 4, 6, 8]


def test_a_field_that_was_not_there_yet_is_let_pass(folder):
    model = {"width": 8, "kind": "new"}
    newer = origin_of({"seed": 1, "model": model, "join": 1}, {}, tokenizer="t", data="d")
    assert found(folder, origin=newer).newest() == 8
    other = origin_of({"seed": 2, "model": model, "join": 1}, {}, tokenizer="t", data="d")
    with pytest.raises(ValueError, match="seed is 1 there and 2 here") as caught:
        found(folder, origin=other).newest()
    assert "kind" not in str(caught.value) and "join" not in str(caught.value)


def test_another_model_is_refused_field_by_field_and_nothing_is_cast(folder):
    wider = STRUCTS._replace(
        params={"kernel": jax.ShapeDtypeStruct((50, 80), np.float32), "scale": STRUCTS.step}
    )
    with pytest.raises(ValueError) as caught:
        Found(folder, wider).newest()
    for part in (
        "params.kernel is float32[50, 40] there and float32[50, 80] here",
        "params.scale is bfloat16[3] there and int32[] here",
    ):
        assert part in str(caught.value)


def test_other_versions_are_said(folder, capfd):
    newer = origin_of({"seed": 1, "model": {"width": 8}}, {"jax": "2"}, tokenizer="t", data="d")
    looked = found(folder, origin=newer)
    assert looked.newest() == 8
    looked.take(8)
    assert "written with jax 1 there and 2 here" in capfd.readouterr().err


def test_the_manifest_is_readable_and_has_a_digest_of_its_own(folder):
    path = folder / "checkpoints" / "8" / "manifest" / "data.json"
    manifest = read_manifest(folder / "checkpoints" / "8")
    assert manifest.leaves["params.kernel"][:2] == ("float32", (50, 40))
    assert manifest.origin["digests"]["data"] == "d"
    text = json.loads(path.read_text("utf-8"))
    text["record"]["best_loss"] = 0.5
    path.write_text(json.dumps(text), "utf-8")
    with pytest.raises(Damaged, match="its own digest is another"):
        read_manifest(folder / "checkpoints" / "8")
    text["format"] = 2
    path.write_text("{" + json.dumps(text), "utf-8")
    with pytest.raises(Damaged, match="manifest cannot be read"):
        read_manifest(folder / "checkpoints" / "8")


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_leaves_of_eight_devices_restore_bit_for_bit_on_fewer(tmp_path, devices):
    def placed(count):
        mesh = jax.make_mesh((count,), ("data",), devices=jax.devices()[:count])
        by_rows = jax.NamedSharding(mesh, jax.P("data"))
        everywhere = jax.NamedSharding(mesh, jax.P())
        return {"kernel": by_rows, "moments": by_rows, "step": everywhere}

    tree = {
        "kernel": np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32),
        "moments": np.arange(8, dtype=jnp.bfloat16),
        "step": np.int32(5),
    }
    eight = jax.device_put(tree, placed(8))
    assert len(eight["kernel"].sharding.device_set) == 8
    with Checkpoints(tmp_path / "c") as saver:
        saver.save(1, eight, {}, best=None)
        restored = saver.load(jax.eval_shape(lambda: tree)).state
    here = jax.device_put(restored, placed(devices))
    assert len(here["kernel"].sharding.device_set) == devices
    assert checkpoint.digest(here) == checkpoint.digest(eight) == checkpoint.digest(tree)
