import errno
import json
import threading
import time
from collections import namedtuple

import pytest

from attention_jax.training.folder import check_room, claimed

MINE = {"name": "mine", "data": {"corpus": "c", "cache": None}}


def unread():
    raise AssertionError("there is nothing to read")


def test_what_fails_before_the_first_step_leaves_nothing(tmp_path):
    folder = tmp_path / "runs" / "new"
    with pytest.raises(KeyboardInterrupt), claimed(folder, MINE, unread):
        assert json.loads((folder / "config.json").read_text("utf-8")) == MINE
        (folder / "tokenizer.json").write_text("{}")
        raise KeyboardInterrupt
    assert not folder.exists()
    folder.mkdir()
    with pytest.raises(ValueError, match="refused"), claimed(folder, MINE, unread):
        raise ValueError("refused")
    assert list(folder.iterdir()) == []  # the user's own folder stays


def test_what_began_stays_and_so_does_a_config_of_the_users(tmp_path):
    for name in ("begun", "written"):
        (tmp_path / name).mkdir()
    (tmp_path / "written" / "config.json").write_text(json.dumps(MINE))
    with pytest.raises(ValueError), claimed(tmp_path / "begun", MINE, unread):
        (tmp_path / "begun" / "checkpoints").mkdir()
        raise ValueError
    with pytest.raises(ValueError), claimed(tmp_path / "written", MINE, lambda: MINE):
        raise ValueError
    for name in ("begun", "written"):
        assert json.loads((tmp_path / name / "config.json").read_text("utf-8")) == MINE


def test_folders_that_are_not_ones_own_are_refused_and_untouched(tmp_path):
    with (
        claimed(tmp_path, MINE, unread),
        pytest.raises(ValueError, match="another process"),
        claimed(tmp_path, MINE, lambda: {"name": "mine", "data": {"corpus": "c", "cache": 1}}),
    ):
        pass
    theirs = MINE | {"data": {"corpus": "other", "cache": None}}
    with (
        pytest.raises(ValueError, match="data.corpus is 'other' there and 'c' here"),
        claimed(tmp_path, MINE, lambda: theirs),
    ):
        pass
    assert (tmp_path / "config.json").exists()
    (tmp_path / "config.json").rename(tmp_path / "thesis.tex")
    (tmp_path / ".lock").unlink()
    with pytest.raises(ValueError, match="holds no run"), claimed(tmp_path, MINE, unread):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_changes_nothing_that_was_done_may_change(tmp_path):
    def config():
        return json.loads((tmp_path / "config.json").read_text("utf-8"))

    before = MINE | {"training": {"steps": 5, "skip_limit": 0, "grace": 9.0}}
    with claimed(tmp_path, before, unread):
        pass
    after = before | {"training": {"steps": 5, "skip_limit": 3, "grace": 20.0}}
    with claimed(tmp_path, after, config):
        assert config() == after
    other = after | {"training": after["training"] | {"steps": 6}}
    with (
        pytest.raises(ValueError, match="steps is 5 there and 6"),
        claimed(tmp_path, other, config),
    ):
        pass
    assert config() == after


def test_of_many_at_the_same_moment_one_gets_a_new_folder(tmp_path):
    inside, together, refused = [], [], []

    def claim(folder, barrier):
        barrier.wait()
        try:
            with claimed(folder, MINE, lambda: MINE):
                inside.append(folder)
                time.sleep(0.01)
                together.append(len(inside))
                inside.remove(folder)
                raise ArithmeticError  # before its first step: it takes its folder back
        except ArithmeticError:
            pass
        except ValueError as error:
            refused.append(error)

    for number in range(30):
        barrier = threading.Barrier(4)
        one = tmp_path / str(number)
        threads = [threading.Thread(target=claim, args=(one, barrier)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not (one / "config.json").exists()
    assert len(together) + len(refused) == 120
    assert len(together) >= 30 and set(together) == {1}


def test_a_lock_that_leads_nowhere_is_an_error_and_no_endless_wait(tmp_path):
    (tmp_path / ".lock").symlink_to(tmp_path / "nowhere" / "lock")
    with pytest.raises(FileNotFoundError), claimed(tmp_path, MINE, unread):
        pass


def test_a_full_disk_says_where(tmp_path):
    with pytest.raises(OSError) as caught, claimed(tmp_path / "run", MINE, unread):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "run")


def test_checkpoints_that_are_there_count_as_room(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(2, 1, 50_000))
    with pytest.raises(OSError, match="has 0.1 MB left; the checkpoints may need 0.1 MB"):
        check_room(tmp_path, keep=3, parameters=1_000)  # 90,000 bytes
    (tmp_path / "checkpoints" / "1").mkdir(parents=True)
    (tmp_path / "checkpoints" / "1" / "data").write_bytes(bytes(50_000))
    check_room(tmp_path, keep=3, parameters=1_000)
