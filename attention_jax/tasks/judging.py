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


class Panel:
    """A judge, and what real pictures are to it.

    Args:
      pictures: the judge learns from those of training; made ones are compared with the test's.
      steps: that the judge is trained for.
    """

    def __init__(self, pictures: PictureSet, steps: int):
        self._classes, self._splits = len(pictures.classes), pictures.splits
        self._judge = Judge(pictures.splits["train"], self._classes, steps=steps)
        self._real = self._judge.features(as_floats(pictures.splits["test"].images))

    def figures(self, made: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """How made pictures, uint8 [N, side, side, channels], fare; see `analysis.generated`."""
        seen = as_floats(made)
        distance = frechet(self._judge.features(seen), self._real)
        found = agreement(labels, self._judge.labels(seen), self._classes)
        return found | {"frechet": distance}

    def scale(self, count: int) -> dict[str, float]:
        """What the figures are to be read by.

        Returns:
          frechet_real: the distance of so many training pictures, which is what perfect pictures
          would have; judge_accuracy: the judge's own share of right answers on test pictures.
        """
        test = self._splits["test"]
        some = self._judge.features(as_floats(self._splits["train"].images[:count]))
        said = self._judge.labels(as_floats(test.images))
        return {
            "frechet_real": frechet(some, self._real),
            "judge_accuracy": float((said == test.labels).mean()),
        }


def judged(
    config: JudgingConfig,
    pictures: PictureSet,
    make: Callable[[np.ndarray], Any],
    folder: Path,
) -> dict[str, Any]:
    """The figures of a generator; some of what it makes becomes `SHEET` in the folder.

    Args:
      config: how.
      pictures: real ones.
      make: from labels [N] to pictures of them, numbers from -1 to 1.
      folder: gets the sheet.

    Returns:
      What `Panel.figures` and `Panel.scale` give; nothing without a judge.
    """
    classes = len(pictures.classes)
    labels = np.arange(config.pictures, dtype=np.int32) % classes
    made = as_bytes(make(labels))
    (folder / SHEET).write_bytes(png(sheet(made[: ROWS * classes], classes)))
    if not config.judge_steps:
        return {}
    panel = Panel(pictures, config.judge_steps)
    return panel.figures(made, labels) | panel.scale(config.pictures)


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
