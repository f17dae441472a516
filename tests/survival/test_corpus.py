"""Hostile text: the check finds nothing to complain about, and would if there were something."""

import pytest

from attention_jax.data.quarantine import Quarantine
from experiments.benchmarks.survival import corpus

ZERO = {"crashed": 0, "wrong": 0, "faults": []}


def test_a_lost_line_and_a_crash_are_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "trained", lambda made, folder: [])
    found = corpus.check(tmp_path, rounds=12, seed=0)
    assert {name: found[name] for name in ZERO} == ZERO
    assert found["ran"] + found["refused with a message"] == 12
    assert found["lines left out"] and list(tmp_path.iterdir()) == []

    keep = Quarantine.keep
    monkeypatch.setattr(Quarantine, "keep", lambda self, rows, name: keep(self, rows[1:], name))
    found = corpus.check(tmp_path, rounds=3, seed=0)
    assert found["wrong"] and "pairs are not those of the files" in str(found["faults"])

    def crashes(self, rows, name):
        raise IndexError("made to")

    monkeypatch.setattr(Quarantine, "keep", crashes)
    found = corpus.check(tmp_path, rounds=3, seed=0)
    assert found["crashed"] and "IndexError: made to" in str(found["faults"])


@pytest.mark.slow
def test_hostile_text_is_read_refused_and_trained_on(tmp_path):
    found = corpus.check(tmp_path, rounds=20, seed=1)
    assert {name: found[name] for name in ZERO} == ZERO
    assert found["trained on"] == 2 and found["ran"] and found["refused with a message"]
