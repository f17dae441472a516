"""Speech from rules: a buzz or a hiss, shaped by the resonances of a mouth that moves.

Voiced sounds are sums of harmonics of the pitch, each as loud as the formants let it be; hisses are
noise in a band. Between neighbouring sounds the formants glide. It sounds like a machine, but has
what makes speech hard to read: the same sound is another one in another mouth, at another pace and
beside other sounds.

Source: Fant 1960, "Acoustic Theory of Speech Production" (source and filter); Klatt 1980, "Software
for a Cascade/Parallel Formant Synthesizer"; Peterson and Barney 1952 (formants of vowels).
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

RATE = 8_000
"""samples a second, as of a telephone"""
FRAME = 40
"""samples between two settings of the mouth"""
TILT = 1.2
"""harmonic k of the buzz has the amplitude k^-1.2"""
BANDS = 80.0, 110.0, 160.0
"""bandwidths of the three formants, Hz"""


class Phone(NamedTuple):
    """A sound, as it is aimed at."""

    seconds: float
    voice: float
    """how loud the buzz is, from 0 to 1"""
    formants: tuple[float, float, float]
    """the first three resonances, Hz"""
    hiss: float = 0.0
    """how loud the noise is"""
    band: tuple[float, float] = (2_500.0, 600.0)
    """of the noise, centre and width, Hz"""


_MIDDLE = 500.0, 1_500.0, 2_500.0

PHONES = {
    "ah": Phone(0.11, 1.0, (640, 1_190, 2_390)),
    "ao": Phone(0.14, 1.0, (570, 840, 2_410)),
    "a": Phone(0.10, 1.0, (730, 1_150, 2_440)),
    "eh": Phone(0.10, 1.0, (530, 1_840, 2_480)),
    "e": Phone(0.09, 1.0, (450, 2_000, 2_600)),
    "ih": Phone(0.08, 1.0, (390, 1_990, 2_550)),
    "iy": Phone(0.15, 1.0, (270, 2_290, 3_010)),
    "o": Phone(0.10, 1.0, (500, 900, 2_400)),
    "uw": Phone(0.15, 1.0, (300, 870, 2_240)),
    "er": Phone(0.07, 0.7, (420, 1_300, 1_600)),
    "w": Phone(0.06, 0.6, (300, 610, 2_200)),
    "n": Phone(0.08, 0.4, (280, 1_700, 2_600)),
    "v": Phone(0.06, 0.4, (300, 1_100, 2_300), 0.05, (2_800, 900)),
    "z": Phone(0.08, 0.3, (300, 1_700, 2_600), 0.20, (3_500, 350)),
    "f": Phone(0.09, 0.0, (350, 1_100, 2_200), 0.09, (2_600, 1_200)),
    "th": Phone(0.08, 0.0, (350, 1_400, 2_500), 0.07, (3_000, 900)),
    "s": Phone(0.11, 0.0, (320, 1_700, 2_600), 0.35, (3_600, 300)),
    "k": Phone(0.03, 0.0, (350, 1_900, 2_500), 0.30, (1_900, 350)),
    "t": Phone(0.03, 0.0, (350, 1_800, 2_600), 0.35, (3_200, 600)),
    "stop": Phone(0.05, 0.0, _MIDDLE),
    "rest": Phone(0.08, 0.0, _MIDDLE),
}
"""Sounds of English, with the formants of a man's mouth; a plosive is a stop and a burst."""


class Speaker(NamedTuple):
    """What differs between people."""

    pitch: float
    """of the voice, Hz"""
    mouth: float
    """factor on all formants; a small mouth has high ones"""
    pace: float
    """factor on all durations"""
    breath: float
    """how loud noise is beside the voice"""


def speaker(chance: Random) -> Speaker:
    """Someone, drawn by chance."""
    small = chance.random()  # small people have high voices too, more or less
    pitch = 95 + 110 * small + 25 * chance.random()
    mouth = 0.95 + 0.2 * small + 0.06 * chance.random()
    return Speaker(pitch, mouth, 0.8 + 0.45 * chance.random(), 0.7 + 0.6 * chance.random())


def sound(
    phones: Sequence[Phone], who: Speaker, chance: Random
) -> tuple[Float[np.ndarray, " samples"], list[int]]:
    """The sounds one after another, and the sample at which each begins, and the last one ends.

    Durations vary by a fifth and formants by a twentieth from one time to the next, and the pitch
    falls towards the end.

    Args:
      phones: at least one.
      who: speaks.
      chance: draws what differs between two times, and the noise.
    """
    frames, aims = [], []
    for phone in phones:
        seconds = phone.seconds * who.pace * chance.uniform(0.8, 1.2)
        frames.append(max(2, round(seconds * RATE / FRAME)))
        off = [who.mouth * chance.uniform(0.95, 1.05) for _ in range(3)]
        formants = [f * o for f, o in zip(phone.formants, off, strict=True)]
        aims.append([*formants, phone.voice, phone.hiss * who.breath])
    begins = np.concatenate([[0], np.cumsum(frames)])
    track = _gliding(np.repeat(np.array(aims), frames, axis=0))
    falling = np.linspace(1.08, 0.88, len(track)) * chance.uniform(0.94, 1.06)
    heard = _buzz(track[:, :3], track[:, 3], who.pitch * falling)
    heard += _hiss(phones, begins, track[:, 4], chance)
    return heard, [int(at) * FRAME for at in begins]


def noise(count: int, chance: Random) -> Float[np.ndarray, " samples"]:
    """White noise of variance 1; evenly distributed, from raw bits, which stay what they are."""
    bits = np.random.PCG64(chance.getrandbits(64)).random_raw(count)
    return ((bits >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1) * 3**0.5


def _gliding(track: Float[np.ndarray, "frames P"]) -> Float[np.ndarray, "frames P"]:
    """The aims as a mouth gets to them: running means of 7 frames (35 ms), silence at both ends."""
    around = np.pad(track, ((3, 3), (0, 0)), mode="edge")
    around[:3, 3:] = around[-3:, 3:] = 0
    return np.mean([around[at : at + len(track)] for at in range(7)], axis=0)


def _buzz(
    formants: Float[np.ndarray, "frames 3"],
    loud: Float[np.ndarray, " frames"],
    pitch: Float[np.ndarray, " frames"],
) -> Float[np.ndarray, " samples"]:
    """Harmonics of the pitch below half the sampling rate, each as loud as the formants make it."""
    turn = np.exp(2j * np.pi * np.cumsum(np.repeat(pitch, FRAME)) / RATE)
    heard, harmonic = np.zeros(len(turn)), np.ones(len(turn), complex)
    for k in range(1, int(RATE / 2 / pitch.min()) + 1):
        harmonic *= turn
        tone = k * pitch
        amplitude = np.where(tone < RATE / 2, loud * k**-TILT, 0)
        for formant, band in zip(formants.T, BANDS, strict=True):
            amplitude *= formant**2 / np.hypot(formant**2 - tone**2, tone * band)
        heard += _between(amplitude) * np.imag(harmonic)
    return 0.1 * heard


def _hiss(
    phones: Sequence[Phone],
    begins: np.ndarray,
    loud: Float[np.ndarray, " frames"],
    chance: Random,
) -> Float[np.ndarray, " samples"]:
    """Noise in the band of each sound that has one."""
    heard = np.zeros(len(loud) * FRAME)
    for phone, begin, end in zip(phones, begins[:-1], begins[1:], strict=True):
        if phone.hiss:
            centre, width = phone.band
            here = slice(begin * FRAME, end * FRAME)
            spectrum = np.fft.rfft(noise(here.stop - here.start, chance))
            tone = np.linspace(0, RATE / 2, len(spectrum))
            spectrum *= np.exp(-0.5 * ((tone - centre) / width) ** 2)
            heard[here] = np.fft.irfft(spectrum, here.stop - here.start)
    return heard * _between(loud)


def _between(values: Float[np.ndarray, " frames"]) -> Float[np.ndarray, " samples"]:
    """A value a sample, on straight lines between those of the frames."""
    ramp, after = np.arange(FRAME) / FRAME, np.append(values[1:], values[-1])
    return (values[:, None] + (after - values)[:, None] * ramp[None]).reshape(-1)
