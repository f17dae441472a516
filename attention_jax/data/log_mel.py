"""The log-mel spectrogram: how much of each band of tones a sound has, a hundred times a second.

Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision" (Whisper),
section 2.2, and the scaling in the code published with it; Slaney 1998, "Auditory Toolbox" (mel).
"""

import functools

import numpy as np
from jaxtyping import Float

WINDOW_SECONDS, HOP_SECONDS = 0.025, 0.010
"""of a frame, and between frames"""


def log_mel(
    sound: Float[np.ndarray, " samples"], *, rate: int = 8_000, mels: int = 40
) -> Float[np.ndarray, "frames mels"]:
    """log₁₀ of the energy in each mel band, of windows of 25 ms every 10 ms.

    Windows are Hann's, centred on multiples of 10 ms, with the sound mirrored at its ends. What is
    more than 80 dB below the loudest counts as 80 dB below it, and numbers are
    (log₁₀ energy + 4) / 4, so that the loudest is two above the faintest.

    Args:
      sound: one number a sample; a window's half or more.
      rate: samples a second.
      mels: bands, from 0 Hz to half the rate.

    Returns:
      float32, a row every 10 ms.

    Raises:
      ValueError: the sound is shorter than that or has not one axis, or there are no bands.
    """
    window, hop = round(WINDOW_SECONDS * rate), round(HOP_SECONDS * rate)
    sound = np.asarray(sound, np.float64)
    if sound.ndim != 1 or len(sound) <= window // 2 or len(sound) < hop:
        raise ValueError(
            f"sound has shape {list(sound.shape)}; [samples] with more than {window // 2} would fit"
        )
    if mels < 1:
        raise ValueError(f"mels is {mels}; at least 1 would fit")
    around = np.pad(sound, window // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(around, window)[::hop][: len(sound) // hop]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    energy = np.abs(np.fft.rfft(windows * hann)) ** 2 @ filters(rate, window, mels)
    found = np.log10(np.maximum(energy, 1e-10))
    return ((np.maximum(found, found.max() - 8) + 4) / 4).astype(np.float32)


@functools.lru_cache(maxsize=8)
def filters(rate: int, window: int, mels: int) -> Float[np.ndarray, "bins mels"]:
    """Triangles over the tones of a Fourier transform, evenly spaced in mels, of area one in Hz.

    Args:
      rate: samples a second.
      window: samples of a transform.
      mels: triangles; each reaches from its left neighbour's top to its right one's.
    """
    tops = _hertz(np.linspace(0, _mels(np.array([rate / 2]))[0], mels + 2))
    tones = np.linspace(0, rate / 2, window // 2 + 1)[:, None]
    left, middle, right = tops[None, :-2], tops[None, 1:-1], tops[None, 2:]
    rising, falling = (tones - left) / (middle - left), (right - tones) / (right - middle)
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (right - left)


_STEP = np.log(6.4) / 27
"""one mel above 1 kHz, as a ratio's logarithm; below, a mel is 200/3 Hz"""


def _mels(hertz: np.ndarray) -> np.ndarray:
    above = 15 + np.log(np.maximum(hertz, 1e-9) / 1_000) / _STEP
    return np.where(hertz < 1_000, hertz * 3 / 200, above)


def _hertz(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < 15, mels * 200 / 3, 1_000 * np.exp(_STEP * (mels - 15)))
