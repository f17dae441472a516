import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from attention_jax.training.signals import SAVED, TOGETHER, Signals, Stopped

ROOT = Path(__file__).parents[2]

STEPS = """
import signal, sys, time
from attention_jax.training.signals import Signals, Stopped
grace, seconds = float(sys.argv[1]), float(sys.argv[2])
for other in sys.argv[3:]:
    signal.signal(int(other), lambda *_: None)
try:
    with Signals(grace) as signals:
        with signals.finishing():
            print("ready", flush=True)
            while signals.asked is None:
                time.sleep(0.01)
            end = time.monotonic() + seconds  # the step that is finished
            while time.monotonic() < end:
                time.sleep(0.01)
        signals.stop(saved=True, said="step 3 of 9")
except Stopped as stopped:
    print(stopped, flush=True)
    raise SystemExit(stopped.code)
"""


@pytest.fixture(autouse=True)
def interruptible():
    """A shell's background job ignores Ctrl-C, and so would these tests and what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def started(*arguments, ignored=None):
    before = signal.signal(ignored, signal.SIG_IGN) if ignored else None
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", STEPS, *(f"{one:g}" for one in arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        if ignored:
            signal.signal(ignored, before)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def ended(process):
    """(exit code, output, errors, seconds until then)."""
    began = time.monotonic()
    out, errors = process.communicate(timeout=30)
    return process.returncode, out, errors, time.monotonic() - began


@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_lets_the_step_end_and_the_process_says_that_all_is_saved(times):
    process = started(9, 0.2)
    for _ in range(times):  # what tells a whole group tells twice
        process.send_signal(signal.SIGTERM)
        time.sleep(0.01)
    code, out, errors, _ = ended(process)
    assert code == SAVED == 75
    assert out == "stopped by SIGTERM: step 3 of 9; the same command goes on\n"
    assert "SIGTERM: finishing this step and saving; once more leaves at once" in errors


@pytest.mark.parametrize(("second", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_one_leaves_at_once(second, code):
    process = started(60, 60)
    process.send_signal(signal.SIGTERM)
    time.sleep(TOGETHER + 0.2)
    process.send_signal(second)
    found, _, errors, seconds = ended(process)
    assert found == code and seconds < 5
    assert "left at once, asked again: the last checkpoint stands" in errors


def test_the_time_to_finish_is_bounded():
    process = started(0.3, 60)
    process.send_signal(signal.SIGTERM)
    code, _, errors, seconds = ended(process)
    assert code == 143 and seconds < 5
    assert "left at once, not done within 0.3 s" in errors


def test_other_signals_do_not_hold_it_up():
    process = started(0.5, 60, signal.SIGUSR1)
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1):
        process.send_signal(number)
        time.sleep(0.05)
    code, _, errors, seconds = ended(process)
    assert code == 143 and seconds < 5 and "not done within 0.5 s" in errors


def test_what_a_shell_told_to_be_ignored_is_ignored():
    process = started(9, 0, ignored=signal.SIGINT)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == SAVED


@pytest.mark.parametrize("saved", [False, True])
def test_between_two_pieces_of_work_it_is_raised_there_and_then(saved):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as caught, Signals() as signals:
        signals.saved = saved
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    assert caught.value.saved == saved
    assert caught.value.code == (SAVED if saved else 130)
    assert isinstance(caught.value, KeyboardInterrupt)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_contexts_nest_and_leave_nothing_behind():
    threads = threading.active_count()
    with Signals() as outer, Signals() as inner:
        with inner.finishing():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        assert inner.asked == signal.SIGTERM and outer.asked is None
    end = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= threads  # those of tests before may have ended meanwhile
    assert signal.set_wakeup_fd(-1) == -1


def test_other_threads_change_nothing():
    before, found = signal.getsignal(signal.SIGTERM), []

    def work():
        with Signals() as signals, signals.finishing():
            found.append((signal.getsignal(signal.SIGTERM), signals.asked))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(before, None)]


def test_nobody_asked():
    with Signals() as signals:
        signals.stop(saved=False)
    assert signals.asked is None
