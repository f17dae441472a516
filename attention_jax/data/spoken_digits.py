"""Spoken digits: a few in a row, by many voices, with what was said and when.

The built-in voices are synthetic (`data.synthesis`), so that there are as many as are wanted; with
`voice="espeak"` the program espeak-ng speaks instead. Each split has speakers of its own: those of
the test were never heard in training.
"""

import hashlib
import json
import math
import random
import shutil
import subprocess
import wave
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from attention_jax.data.lines import DataError
from attention_jax.data.log_mel import HOP_SECONDS, log_mel
from attention_jax.data.synthesis import PHONES, RATE, Speaker, noise, sound, speaker
from attention_jax.data.tokens import END, MARKS

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SPOKEN = (
    "z ih er o uw, w ah n, stop t uw, th er iy, f ao er, f a iy v, s ih stop k s, s eh v ah n,"
    " e iy stop t, n a iy n"
)
DIGITS = tuple(tuple(PHONES[name] for name in word.split()) for word in _SPOKEN.split(","))
"""the sounds of each digit"""
LETTERS = tuple(sorted({*"".join(WORDS), " "}))
REST = 0.06, 0.35
"""seconds of silence around digits, at least and at most"""
SPLITS = ("train", "validation", "test")
PROGRAM = "espeak-ng"


@dataclass(frozen=True)
class SpokenDigitsConfig:
    """Which clips are made, and how what they say is written."""

    voice: Literal["synthetic", "espeak"] = "synthetic"
    """rules of this package, or the program espeak-ng, which must be installed"""
    digits: int = 5
    """the most in a clip; each number from 1 up is as likely"""
    clips: int = 2_400
    """of training"""
    held: int = 200
    """of validation, and as many of the test"""
    speakers: int = 60
    """of training; validation and test have a quarter as many each, all of them others"""
    loudness: float = 20.0
    """dB of the speech over the background noise, on average"""
    mels: int = 40
    """bands of the spectrogram"""
    written: Literal["words", "characters"] = "words"
    """a token for each digit, or for each letter of its name"""
    batch: int = 32
    """clips of a training batch"""
    seed: int = 0
    """of speakers, digits, and all else that is drawn"""

    def __post_init__(self):
        """Refuses numbers that make no clips."""
        for name in ("digits", "clips", "held", "speakers", "mels", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.batch > self.clips:
            raise ValueError(f"batch is {self.batch}; at most clips, {self.clips}, would fit")
        if not -20 <= self.loudness <= 100:
            raise ValueError(f"loudness is {self.loudness} dB; from -20 to 100 would fit")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; from 0 up would fit")
        choices = {"voice": ("synthetic", "espeak"), "written": ("words", "characters")}
        for name, fits in choices.items():
            if getattr(self, name) not in fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {fits} fits")

    @property
    def names(self) -> tuple[str, ...]:
        """What each token is called, by number: the marks, then digits or letters."""
        return MARKS + (WORDS if self.written == "words" else LETTERS)

    @property
    def longest(self) -> int:
        """The most tokens that a clip is written with, the end mark included."""
        return self.digits + 1 if self.written == "words" else 6 * self.digits


class Clip(NamedTuple):
    """What somebody said."""

    sound: Float[np.ndarray, " samples"]
    """at 8 kHz"""
    digits: tuple[int, ...]
    spans: tuple[tuple[float, float], ...]
    """when each digit begins and ends, in seconds"""


class Clips(NamedTuple):
    """Clips as a model hears them, one a row."""

    frames: Float[np.ndarray, "N S mels"]
    """log-mel spectrograms, a row every 10 ms; zeros behind the end"""
    lengths: Int[np.ndarray, " N"]
    """frames that there are"""
    tokens: Int[np.ndarray, "N T"]
    """what was said, then the end mark, then padding"""
    spans: Float[np.ndarray, "N T 2"]
    """the frames between which the digit of each token was said; zeros for marks and padding"""


class SpokenSet(NamedTuple):
    """All clips, by split."""

    splits: dict[str, Clips]
    digest: str
    """SHA-256 of all that decides the clips, in hex: sines may differ in their last bit between
    machines, so it is of what was drawn and not of the sound"""
    notes: tuple[str, ...]


def load_spoken_digits(config: SpokenDigitsConfig) -> SpokenSet:
    """Makes the clips of all splits; about 10 ms of computing a second of speech.

    Raises:
      DataError: espeak-ng is asked for, but not there or not able.
    """
    splits, said = {}, hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())
    for split in SPLITS:
        clips = spoken(config, split)
        splits[split] = heard(clips, config)
        said.update(repr([(clip.digits, len(clip.sound)) for clip in clips]).encode())
    longest = max(clips.frames.shape[1] for clips in splits.values())
    splits = {name: _padded(clips, longest) for name, clips in splits.items()}
    seconds = splits["train"].lengths.sum() * HOP_SECONDS
    note = f"{config.clips:,} clips of training, {seconds / 60:.0f} minutes of speech, by "
    note += f"{config.speakers} speakers; the longest has {longest} frames"
    return SpokenSet(splits, said.hexdigest(), (note,))


def spoken(config: SpokenDigitsConfig, split: str) -> list[Clip]:
    """The clips of a split; the same for the same config, whatever other splits there are."""
    chance = random.Random(f"spoken digits {config.seed} {split}")
    training = split == "train"
    people = [speaker(chance) for _ in range(max(1, config.speakers // (1 if training else 4)))]
    count, clips = config.clips if training else config.held, []
    for _ in range(count):
        who = people[int(chance.random() * len(people))]
        many = 1 + int(chance.random() * config.digits)
        digits = tuple(int(chance.random() * 10) for _ in range(many))
        clips.append(clip(digits, who, chance, voice=config.voice, loudness=config.loudness))
    return clips


def clip(
    digits: Sequence[int],
    who: Speaker,
    chance: random.Random,
    *,
    voice: Literal["synthetic", "espeak"] = "synthetic",
    loudness: float = 20.0,
) -> Clip:
    """Digits spoken one after another, with rests around them and noise behind.

    Args:
      digits: what is said, 0 to 9 each.
      who: says it.
      chance: draws rests and noise, and of synthetic voices how each sound is made.
      voice: as in `SpokenDigitsConfig`.
      loudness: dB of the speech over the noise, on average; 6 more or less by chance.

    Raises:
      DataError: espeak-ng is not there or not able.
    """
    parts, spans, at = [], [], 0
    for digit in digits:
        rest = round(RATE * chance.uniform(*REST))
        word = _espoken(digit, who) if voice == "espeak" else sound(DIGITS[digit], who, chance)[0]
        word = word * (0.1 / max(1e-9, math.sqrt(float(np.mean(word**2)))))
        parts += [np.zeros(rest), word * chance.uniform(0.7, 1.3)]
        spans.append(((at + rest) / RATE, (at + rest + len(word)) / RATE))
        at += rest + len(word)
    said = np.concatenate([*parts, np.zeros(round(RATE * chance.uniform(*REST)))])
    level = 0.1 * 10 ** (-(loudness + chance.uniform(-6, 6)) / 20)
    return Clip(said + level * noise(len(said), chance), tuple(digits), tuple(spans))


def heard(clips: Sequence[Clip], config: SpokenDigitsConfig) -> Clips:
    """The clips as spectrograms and tokens."""
    seen = [log_mel(one.sound, rate=RATE, mels=config.mels) for one in clips]
    found = Clips(
        np.zeros((len(clips), max(map(len, seen)), config.mels), np.float32),
        np.array([len(one) for one in seen], np.int32),
        np.zeros((len(clips), config.longest), np.int32),
        np.zeros((len(clips), config.longest, 2), np.float32),
    )
    for row, (one, frames) in enumerate(zip(clips, seen, strict=True)):
        tokens, of = written(one.digits, config)
        found.frames[row, : len(frames)] = frames
        found.tokens[row, : len(tokens)] = tokens
        found.spans[row, : len(of)] = np.array(one.spans)[of] / HOP_SECONDS
    return found


def written(digits: Sequence[int], config: SpokenDigitsConfig) -> tuple[list[int], list[int]]:
    """The tokens of digits, with the end mark, and which digit each but that belongs to.

    A space belongs to the digit behind it.
    """
    if config.written == "words":
        return [len(MARKS) + digit for digit in digits] + [END], list(range(len(digits)))
    names = [" " * (place > 0) + WORDS[digit] for place, digit in enumerate(digits)]
    tokens = [len(MARKS) + LETTERS.index(letter) for name in names for letter in name]
    return [*tokens, END], [place for place, name in enumerate(names) for _ in name]


def read(tokens: Sequence[int], config: SpokenDigitsConfig) -> list[str]:
    """The words that tokens say, up to the end mark; letters that are no digit stay as they are."""
    ids = list(map(int, tokens))
    ids = ids[: ids.index(END)] if END in ids else ids
    names = [config.names[one] for one in ids if one >= len(MARKS)]
    return names if config.written == "words" else "".join(names).split()


def _padded(clips: Clips, length: int) -> Clips:
    missing = length - clips.frames.shape[1]
    return clips._replace(frames=np.pad(clips.frames, ((0, 0), (0, missing), (0, 0))))


def _espoken(digit: int, who: Speaker) -> Float[np.ndarray, " samples"]:
    """A digit as espeak-ng says it, at 8 kHz; its mouth is the same for all."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise DataError(
            f'voice is "espeak", but there is no program {PROGRAM} here; install it (such as '
            f'`apt install {PROGRAM}`), or voice "synthetic" would fit.'
        )
    pitch = min(99, max(0, round((who.pitch - 70) / 2)))
    command = [program, "--stdout", "-v", "en", "-p", str(pitch), "-s", str(round(160 / who.pace))]
    done: Any = subprocess.run([*command, WORDS[digit]], capture_output=True, timeout=60)
    if done.returncode or not done.stdout.startswith(b"RIFF"):
        raise DataError(f"{PROGRAM} cannot speak: {done.stderr.decode(errors='replace').strip()}")
    return at_rate(*_samples(done.stdout))


def _samples(raw: bytes) -> tuple[np.ndarray, int]:
    """The samples of a WAV file that is streamed, so that its header does not know its length."""
    with wave.open(BytesIO(raw)) as file:
        rate = file.getframerate()
    data = raw[raw.index(b"data") + 8 :]
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 2**15, rate


def at_rate(samples: Float[np.ndarray, " samples"], rate: int) -> Float[np.ndarray, " samples"]:
    """Samples taken `rate` times a second as they are at 8 kHz, without what is above 4 kHz."""
    count = round(len(samples) * RATE / rate)
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    return np.fft.irfft(spectrum, count) * count / len(samples)
