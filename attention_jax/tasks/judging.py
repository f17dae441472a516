"""What both generators of pictures share: sizes, what is held out, and what they are judged by."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attention_jax.analysis.generated import agreement, frechet
from attention_jax.analysis.picture_judge import Judge
from attention_jax.data.images import PictureSet, as_bytes, as_floats
from attention_jax.data.png import png, sheet

SHEET = "samples.png"
"""in the run's folder: a column a kind"""
ROWS = 8
"""pictures of each kind on the sheet"""
HELD_OUT = 1_000
"""held-out pictures at most"""
FIXED = 1 << 40
"""number of the draw of what is the same at every validation; no batch has it"""


@dataclass(frozen=True)
class JudgingConfig:
    """How many pictures are made, and by what they are judged."""

    pictures: int = 1_000
    """made and judged, as many of each kind"""
    judge_steps: int = 1_500
    """that the judge is trained for, on real pictures; 0: there is no judge"""

    def __post_init__(self):
        """Refuses numbers that judge nothing."""
        for name, least in (("pictures", 2), ("judge_steps", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")


def judged(
    config: JudgingConfig,
    pictures: PictureSet,
    make: Callable[[np.ndarray], Any],
    folder: Path,
) -> dict[str, Any]:
    """The figures of a generator; some of what it makes becomes `SHEET` in the folder.

    Args:
      config: how.
      pictures: real ones; the judge learns from the training pictures, and made ones are compared
        with the test pictures.
      make: from labels [N] to pictures of them, numbers from -1 to 1.
      folder: gets the sheet.

    Returns:
      See `analysis.generated`; judge_accuracy: of the judge, on test pictures; frechet: between the
      judge's features of made pictures and of all test pictures; frechet_real: the same of as many
      training pictures, which is what perfect pictures would have.
    """
    classes = len(pictures.classes)
    labels = np.arange(config.pictures, dtype=np.int32) % classes
    made = as_bytes(make(labels))
    (folder / SHEET).write_bytes(png(sheet(made[: ROWS * classes], classes)))
    if not config.judge_steps:
        return {}
    judge = Judge(pictures.splits["train"], classes, steps=config.judge_steps)
    test, train = pictures.splits["test"], pictures.splits["train"]
    real = judge.features(as_floats(test.images))
    some = judge.features(as_floats(train.images[: config.pictures]))
    recognized = judge.labels(as_floats(test.images))
    return {
        **agreement(labels, judge.labels(as_floats(made)), classes),
        "frechet": frechet(judge.features(as_floats(made)), real),
        "frechet_real": frechet(some, real),
        "judge_accuracy": float((recognized == test.labels).mean()),
    }


def check_sizes(model: Any, pictures: PictureSet) -> None:
    """Refuses a model's config that has other sizes than the pictures.

    Raises:
      ValueError: the message names the option, and what would fit.
    """
    height, width, channels = pictures.shape
    if height != width:
        raise ValueError(
            f"{pictures.name} has pictures of {height} by {width}; square ones would fit"
        )
    wanted = {"side": height, "channels": channels, "classes": len(pictures.classes)}
    for name, size in wanted.items():
        if getattr(model, name) != size:
            raise ValueError(
                f"model.{name} is {getattr(model, name)}, but {pictures.name} has {size}; "
                f"--model.{name} {size} would fit"
            )
