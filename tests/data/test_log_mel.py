"""The spectrogram against sums over all samples, and against the published formula."""

import math

import numpy as np
import pytest

from attention_jax.data.log_mel import filters, log_mel

RATE = 8_000


def plainly(sound, mels):
    """Frame by frame, tone by tone, band by band: no transform, no matrix product."""
    window, hop, half = 200, 80, 100
    mirrored = [*sound[half:0:-1], *sound, *sound[-2 : -half - 2 : -1]]
    rows = []
    for frame in range(len(sound) // hop):
        piece = [
            mirrored[frame * hop + n] * (0.5 - 0.5 * math.cos(2 * math.pi * n / window))
            for n in range(window)
        ]
        energies = []
        for tone in range(half + 1):
            turn = [2 * math.pi * tone * n / window for n in range(window)]
            real = sum(x * math.cos(t) for x, t in zip(piece, turn, strict=True))
            imaginary = sum(x * math.sin(t) for x, t in zip(piece, turn, strict=True))
            energies.append(real**2 + imaginary**2)
        row = []
        for band in range(mels):
            left, top, right = (hertz(mel(4_000) * (band + k) / (mels + 1)) for k in range(3))
            total = 0.0
            for tone, energy in enumerate(energies):
                f = tone * 40.0
                rise = (f - left) / (top - left) if f <= top else (right - f) / (right - top)
                total += energy * max(0.0, rise) * 2 / (right - left)
            row.append(math.log10(max(total, 1e-10)))
        rows.append(row)
    most = max(map(max, rows))
    return [[(max(x, most - 8) + 4) / 4 for x in row] for row in rows]


def mel(f):
    """Slaney's: 200/3 Hz a mel up to 1 kHz, then 27 mels for each factor of 6.4."""
    return 3 * f / 200 if f < 1_000 else 15 + 27 * math.log(f / 1_000) / math.log(6.4)


def hertz(m):
    return 200 * m / 3 if m < 15 else 1_000 * 6.4 ** ((m - 15) / 27)


def test_against_plain_sums():
    chance = np.random.default_rng(0)
    sound = 0.1 * chance.normal(size=333) + np.sin(np.arange(333) * 0.7)
    found = log_mel(sound, mels=6)
    assert found.dtype == np.float32 and found.shape == (4, 6)
    np.testing.assert_allclose(found, plainly(sound.tolist(), 6), atol=1e-5)


def test_every_band_hears_something_and_has_area_one():
    bands = filters(RATE, 200, 40)
    assert bands.shape == (101, 40) and (bands.sum(0) > 0).all() and (bands >= 0).all()
    fine = filters(RATE, 20_000, 40)  # 0.4 Hz apart
    np.testing.assert_allclose(fine.sum(0) * 0.4, 1, rtol=1e-3)


def test_a_tone_is_loudest_in_its_band():
    tops = np.argmax(filters(RATE, 200, 40), 0) * 40
    for tone in (300, 1_000, 2_500):
        found = log_mel(np.sin(2 * np.pi * tone * np.arange(2_000) / RATE))
        assert abs(tops[found[5:-5].mean(0).argmax()] - tone) <= 100


def test_louder_by_ten_is_one_half_higher_and_the_floor_follows():
    sound = np.random.default_rng(1).normal(size=900)
    sound[400:] = 0
    one, ten = log_mel(sound), log_mel(10 * sound)
    assert one.max() - one.min() == pytest.approx(2, abs=1e-6)  # 80 dB, in quarters of a decade
    np.testing.assert_allclose(ten, one + 0.5, atol=1e-5)


@pytest.mark.parametrize("sound", [np.zeros(100), np.zeros((300, 2))])
def test_what_is_no_sound_is_refused(sound):
    with pytest.raises(ValueError, match="more than 100 would fit"):
        log_mel(sound)


def test_no_bands_are_refused():
    with pytest.raises(ValueError, match="mels is 0"):
        log_mel(np.zeros(300), mels=0)
