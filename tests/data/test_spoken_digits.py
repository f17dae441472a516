"""Spoken digits: what is said and when, by whom, and the same every time."""

import random
import struct
from dataclasses import replace

import numpy as np
import pytest

from attention_jax.data import spoken_digits
from attention_jax.data.lines import DataError
from attention_jax.data.log_mel import log_mel
from attention_jax.data.spoken_digits import (
    WORDS,
    SpokenDigitsConfig,
    at_rate,
    clip,
    heard,
    load_spoken_digits,
    read,
    spoken,
    written,
)
from attention_jax.data.synthesis import PHONES, RATE, noise, sound, speaker

SMALL = SpokenDigitsConfig(clips=12, held=6, speakers=8, digits=3, mels=12, batch=4)


@pytest.fixture(scope="module")
def found():
    return load_spoken_digits(SMALL)


def test_the_splits_have_their_shapes(found):
    assert {name: len(one.lengths) for name, one in found.splits.items()} == {
        "train": 12, "validation": 6, "test": 6
    }  # fmt: skip
    for clips in found.splits.values():
        rows, room = len(clips.lengths), found.splits["train"].frames.shape[1]
        assert clips.frames.shape == (rows, room, 12) and clips.frames.dtype == np.float32
        behind = np.arange(room) >= clips.lengths[:, None]
        assert not clips.frames[behind].any() and clips.frames[~behind].any(-1).all()
        assert set(np.unique(clips.tokens)) <= {0, 2, *range(3, 13)}
        digits = clips.tokens > 2
        counts = digits.sum(-1)
        assert (clips.tokens[np.arange(rows), counts] == 2).all() and counts.min() >= 1
        begin, end = clips.spans[..., 0], clips.spans[..., 1]
        assert (begin < end)[digits].all() and not clips.spans[~digits].any()
        assert (begin[:, 1:] > end[:, :-1])[digits[:, 1:]].all()
        assert (end <= clips.lengths[:, None]).all()
    assert "speakers" in found.notes[0]


def test_the_same_every_time_and_another_seed_says_other_things(found):
    again = load_spoken_digits(SMALL)
    assert again.digest == found.digest
    for name, clips in again.splits.items():
        for one, other in zip(clips, found.splits[name], strict=True):
            np.testing.assert_array_equal(one, other)
    assert load_spoken_digits(replace(SMALL, seed=1)).digest != found.digest


def test_speech_is_loud_where_it_is_said_to_be():
    for one in spoken(replace(SMALL, loudness=30), "test"):
        power = one.sound**2
        for begin, end in one.spans:
            here = power[round(begin * RATE) : round(end * RATE)].mean()
            before = power[round(begin * RATE) - 400 : round(begin * RATE)].mean()
            assert here > 30 * before


def test_each_split_has_speakers_of_its_own(monkeypatch):
    people = {}
    for split in spoken_digits.SPLITS:
        met = []

        def meet(digits, who, chance, met=met, **more):
            met.append(who)
            return clip(digits[:0] or (0,), who, chance, **more)

        monkeypatch.setattr(spoken_digits, "clip", meet)
        spoken(replace(SMALL, clips=60, held=60), split)
        people[split] = set(met)
    assert len(people["train"]) == 8 and len(people["test"]) == 2
    assert not people["train"] & (people["test"] | people["validation"])


def test_digits_differ_more_than_speakers():
    """A digit is nearer to itself in another mouth than to another digit: most of the time."""
    people = [speaker(random.Random(seed)) for seed in range(6)]

    def mean_of(digit, who):
        said = clip([digit], who, random.Random(digit), loudness=40)
        frames = log_mel(said.sound)
        begin, end = (round(100 * second) for second in said.spans[0])
        pieces = np.array_split(frames[begin:end], 6)
        return np.concatenate([piece.mean(0) for piece in pieces])

    known = {digit: np.mean([mean_of(digit, who) for who in people[:4]], 0) for digit in range(10)}
    right = 0
    for who in people[4:]:
        for digit in range(10):
            far = {n: np.linalg.norm(mean_of(digit, who) - known[n]) for n in known}
            right += min(far, key=far.get) == digit
    assert right >= 15


def test_words_and_letters_come_back():
    for form in ("words", "characters"):
        config = replace(SMALL, written=form)
        tokens, of = written([7, 0, 3], config)
        assert tokens[-1] == 2 and len(tokens) == len(of) + 1 <= config.longest
        assert read([*tokens, 5, 5], config) == ["seven", "zero", "three"]
        assert sorted(set(of)) == [0, 1, 2]
    assert len(tokens) == len("seven zero three") + 1
    assert read([3, 2], replace(SMALL, written="characters")) == []  # a space says nothing
    clips = heard(spoken(replace(SMALL, clips=4), "train"), replace(SMALL, written="characters"))
    assert clips.tokens.shape == (4, 18) == clips.spans.shape[:2]


def test_sounds_begin_where_the_ones_before_end():
    phones = [PHONES[name] for name in ("s", "ih", "stop", "k", "s")]
    who = speaker(random.Random(0))
    said, marks = sound(phones, who, random.Random(1))
    assert marks[0] == 0 and marks[-1] == len(said) and sorted(set(marks)) == marks
    loud = [np.sqrt((said[a:b] ** 2).mean()) for a, b in zip(marks, marks[1:], strict=False)]
    assert loud[2] < 0.2 * min(loud[0], loud[1], loud[3], loud[4])

    def above(part):  # of its energy, the share above 2.5 kHz
        energy = np.abs(np.fft.rfft(part)) ** 2
        return energy[round(len(energy) * 0.625) :].sum() / energy.sum()

    assert above(said[: marks[1]]) > 0.9 and above(said[marks[1] : marks[2]]) < 0.1


def test_a_voice_has_its_pitch():
    who = speaker(random.Random(3))
    said, _ = sound([PHONES["ah"]] * 4, who, random.Random(0))
    energy = np.correlate(said, said, "full")[len(said) - 1 :]
    period = 30 + int(energy[30:110].argmax())  # 73 to 267 Hz
    assert RATE / period == pytest.approx(who.pitch, rel=0.12)


def test_noise_is_white_and_has_variance_one():
    made = noise(20_000, random.Random(0))
    assert abs(made.mean()) < 0.02 and made.var() == pytest.approx(1, abs=0.02)
    energy = np.abs(np.fft.rfft(made)) ** 2
    halves = [half.mean() for half in np.array_split(energy[1:], 2)]
    assert halves[0] == pytest.approx(halves[1], rel=0.1)


def test_without_espeak_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(spoken_digits.shutil, "which", lambda name: None)
    with pytest.raises(DataError, match='no program espeak-ng.*voice "synthetic" would fit'):
        load_spoken_digits(replace(SMALL, voice="espeak"))


def test_what_another_program_says_is_taken_at_8_khz(monkeypatch, tmp_path):
    """A program in espeak-ng's place that hums 500 Hz, its WAV header without a length."""
    tone = (8_000 * np.sin(2 * np.pi * 500 * np.arange(6_000) / 22_050)).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, 1, 22_050, 44_100, 2, 16)
    header = b"RIFF" + struct.pack("<I", 2**31 - 1) + b"WAVEfmt " + struct.pack("<I", 16) + form
    (tmp_path / "said.wav").write_bytes(header + b"data" + struct.pack("<I", 2**31 - 1) + tone)
    program = tmp_path / "espeak-ng"
    program.write_text(f"#!/bin/sh\ncat {tmp_path / 'said.wav'}\n")
    program.chmod(0o755)
    monkeypatch.setattr(spoken_digits.shutil, "which", lambda name: str(program))
    one = clip([4], speaker(random.Random(0)), random.Random(0), voice="espeak", loudness=60)
    begin, end = (round(second * RATE) for second in one.spans[0])
    assert end - begin == round(6_000 * RATE / 22_050)
    energy = np.abs(np.fft.rfft(one.sound[begin:end]))
    assert energy.argmax() * RATE / (end - begin) == pytest.approx(500, abs=5)
    program.write_text("#!/bin/sh\necho no voices >&2; exit 1\n")
    with pytest.raises(DataError, match="espeak-ng cannot speak: no voices"):
        clip([4], speaker(random.Random(0)), random.Random(0), voice="espeak")


def test_another_rate_keeps_a_tone():
    at = np.arange(2_205) / 22_050
    found = at_rate(np.sin(2 * np.pi * 440 * at), 22_050)
    np.testing.assert_allclose(found, np.sin(2 * np.pi * 440 * np.arange(800) / RATE), atol=1e-6)


@pytest.mark.parametrize(
    "field, value",
    [("digits", 0), ("clips", 0), ("batch", 13), ("loudness", 200.0), ("seed", -1),
     ("voice", "mine"), ("written", "ideas")],
)  # fmt: skip
def test_impossible_configs_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value!r}.*(at least|fit)"):
        replace(SMALL, **{field: value})


def test_there_are_ten_digits():
    assert len(WORDS) == len(spoken_digits.DIGITS) == 10
