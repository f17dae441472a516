import errno
import json
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.training import checkpoint
from attention_jax.training.checkpoint import Checkpoints
from attention_jax.training.manifest import Leaf, Manifest, hash_of, read_manifest


def state(number):
    return {
        "params": {
            "kernel": jnp.full((3, 4), number, jnp.float32),
            "layers": {0: jnp.full(5, number, jnp.bfloat16)},
        },
        "step": jnp.asarray(number, jnp.int32),
    }


STRUCTS = jax.eval_shape(lambda: state(0))


def test_gives_back_what_was_saved(tmp_path):
    with Checkpoints(tmp_path / "c") as saver:
        saver.save(7, state(7), {"best": None, "position": {"next": 3}, "loss": 0.1}, best=None)
        restored = saver.load(STRUCTS)
    assert restored.record == {"best": None, "position": {"next": 3}, "loss": 0.1}
    for name, wanted in checkpoint.flatten(state(7)).items():
        found = checkpoint.flatten(restored.state)[name]
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_keeps_the_last_regular_ones_the_best_and_the_newest(tmp_path):
    with Checkpoints(tmp_path / "c", keep=2, every=2) as saver:
        for step in range(1, 10):
            saver.save(step, state(step), {}, best=3 if step >= 3 else None)
        saver.wait()
        assert saver.steps == [3, 6, 8, 9]
        assert saver.regular == [6, 8]
        assert saver.load(STRUCTS["params"], 3, at="params").state["kernel"][0, 0] == 3
    assert checkpoint.finished(tmp_path / "c") == [3, 6, 8, 9]
    assert checkpoint.finished(tmp_path / "nothing") == []


def test_refuses_other_models_and_names_the_first_difference(tmp_path):
    with Checkpoints(tmp_path / "c") as saver:
        saver.save(1, state(1), {}, best=None)
        for changed, message in [
            ({"step": jax.ShapeDtypeStruct((), np.float32)}, r"int32\[\] there and float32"),
            ({"step": jax.ShapeDtypeStruct((2,), np.int32)}, r"int32\[\] there and int32\[2\]"),
            ({"more": STRUCTS["step"]}, "more is nothing there"),
            ({"params": STRUCTS["params"]["layers"]}, "params.0 is nothing there"),
        ]:
            with pytest.raises(ValueError, match=message):
                saver.load(STRUCTS | changed)
        with pytest.raises(ValueError, match="no checkpoint of step 5; there is: 1"):
            saver.load(STRUCTS, 5)


@pytest.mark.parametrize("place", [0.02, 0.5, 0.98])
def test_notices_damage(tmp_path, place):
    noise = {"noise": np.random.default_rng(0).normal(size=10_000)}
    folder = tmp_path / "mean"
    checkpoint.write(folder, noise, {})
    np.testing.assert_array_equal(checkpoint.read(folder, noise).state["noise"], noise["noise"])
    data = max(folder.rglob("d/*"), key=lambda path: path.stat().st_size)
    raw = bytearray(data.read_bytes())
    raw[int(len(raw) * place)] ^= 4
    data.write_bytes(raw)
    with pytest.raises(ValueError, match="damaged") as caught:
        checkpoint.read(folder, noise)
    assert "tensorstore_spec" not in str(caught.value)


def test_means_are_exact_and_keep_dtypes():
    trees = [{"a": np.full(3, value, np.float32)} for value in (1e8, 1.0, -1e8)]
    found = checkpoint.mean(trees)["a"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.float32(1 / 3))


def test_written_folders_can_be_written_again(tmp_path):
    for number in (1, 2):
        checkpoint.write(tmp_path / "mean", state(number), {"steps": [number]})
    restored = checkpoint.read(tmp_path / "mean", STRUCTS)
    assert restored.record == {"steps": [2]}
    assert restored.state["step"] == 2


def test_a_full_disk_is_one_clear_error_and_the_last_good_one_stays(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: [OS error 28: No space left on device]")

    with Checkpoints(tmp_path / "c") as saver:
        saver.save(1, state(1), {}, best=None)
        saver.wait()
        with monkeypatch.context() as patch:
            patch.setattr(saver._orbax, "save_checkpointables_async", fails)
            with pytest.raises(OSError, match="the disk is full.*last good one is kept") as caught:
                saver.save(2, state(2), {}, best=None)
        assert caught.value.errno == errno.ENOSPC
        assert saver.load(STRUCTS).state["step"] == 1


def test_a_full_disk_is_noticed_before_the_write(tmp_path, monkeypatch):
    with Checkpoints(tmp_path / "c") as saver:
        usage = type(shutil.disk_usage(tmp_path))
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage(2, 1, 1_000))
        with pytest.raises(OSError, match="the disk is full.*last good one is kept"):
            saver.save(1, state(1), {}, best=None)
        assert saver.steps == []


def test_closing_does_not_hide_why_a_write_failed(tmp_path, monkeypatch):
    def fails():
        raise ValueError("RESOURCE_EXHAUSTED, once more and at length")

    with (
        pytest.raises(OSError, match="the disk is full"),
        Checkpoints(tmp_path / "c") as saver,
    ):
        monkeypatch.setattr(saver._orbax, "close", fails)
        raise OSError(errno.ENOSPC, "the disk is full")


def test_a_write_that_fails_later_is_reported_at_the_end(tmp_path):
    class Failing:
        def result(self):
            raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="could not be written"), Checkpoints(tmp_path / "c") as saver:
        saver._writing = Failing()


def test_one_of_its_own_says_why_it_could_not_be_written(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        checkpoint.write(tmp_path / "gone" / "bad" / "4", state(4), {})
    assert not (tmp_path / "gone").exists()
    usage = type(shutil.disk_usage(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: usage(2, 1, 1_000))
        with pytest.raises(OSError, match="the disk is full"):
            checkpoint.write(tmp_path / "mean", state(4), {})

    def fails(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: No space left on device")

    from orbax.checkpoint import v1 as ocp

    monkeypatch.setattr(ocp, "save_checkpointables", fails)
    with pytest.raises(OSError, match="the disk is full"):
        checkpoint.write(tmp_path / "bad" / "4", state(4), {})


@pytest.mark.parametrize("failed", [False, True])
def test_a_process_whose_write_failed_waits_for_no_thread(tmp_path, failed):
    script = (
        "import sys, threading, time; from pathlib import Path\n"
        "from attention_jax.training.failures import as_os_error, leave\n"
        "threading.Thread(target=time.sleep, args=(float(sys.argv[2]),)).start()\n"
        "if int(sys.argv[3]): print(as_os_error(OSError(5, 'broken'), Path(sys.argv[1])))\n"
        "leave(2)"
    )
    words = [str(tmp_path), "60" if failed else "0.1", str(int(failed))]
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2 and ("could not be written" in done.stdout) == failed


def in_shards(array):
    parts = {"0:2,0:3": array[:2, :3], "2:4,0:3": array[2:, :3], "0:4,3:6": array[:, 3:]}
    shards = {name: hash_of(part) for name, part in parts.items()}
    return Leaf(array.dtype.name, array.shape, "", shards)


def test_an_array_in_shards_is_checked_in_all_of_them():
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    leaf = in_shards(array)
    assert leaf.fits(array) and not leaf.fits(array.astype(np.float64))
    for place in np.ndindex(array.shape):
        other = array.copy()
        other[place] += 1
        assert not leaf.fits(other), place
    for name in leaf.shards:
        fewer = {other: sha for other, sha in leaf.shards.items() if other != name}
        assert not leaf._replace(shards=fewer).fits(array)


def test_a_manifest_keeps_shards_and_says_nothing_of_them_where_there_are_none(tmp_path):
    array = np.ones((4, 6), np.float32)
    leaves = {"whole": Leaf("float32", (4, 6), hash_of(array)), "parts": in_shards(array)}
    found = Manifest(leaves, {}, {}).to_json()
    assert found["leaves"]["whole"].keys() == {"dtype", "shape", "sha256"}
    (tmp_path / "manifest").mkdir()
    (tmp_path / "manifest" / "data.json").write_text(json.dumps(found), "utf-8")
    read = read_manifest(tmp_path).leaves
    assert read == leaves and read["parts"].fits(array) and read["whole"].fits(array)
