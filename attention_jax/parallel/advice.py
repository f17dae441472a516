"""What would make a training step fit, reckoned from the parts that are too big."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import NamedTuple

from attention_jax.parallel.forecast import Forecast
from attention_jax.parallel.layout import Layout
from attention_jax.parallel.topologies import GIB


class Change(NamedTuple):
    """Another way to run the same model on the same devices."""

    apart: int
    """into how many more parts state and gradients are cut"""
    fewer: int
    """by how much the rows are divided"""
    halved: bool
    """computes in bfloat16 instead of float32"""


def advice(forecast: Forecast, layout: Layout) -> list[str]:
    """What is too big, and what would help: an estimate, to be planned again.

    State and gradients are cut by `fsdp`, which takes devices from `data`: both cut the rows.
    All else, activations above all, is as much as a device has rows.

    Args:
      forecast: of a step that does not fit.
      layout: of its devices.

    Returns:
      Lines, none for a step that fits.
    """
    if forecast.fits is not False:
        return []
    kept = forecast.state + forecast.gradients
    passing = max(0, forecast.held - kept)
    lines = [
        f"{forecast.held / GIB:.2f} GiB a device and {forecast.usable / GIB:.2f} that may be used: "
        f"{kept / GIB:.2f} are state and gradients, which fsdp and model cut; the other "
        f"{passing / GIB:.2f}, mostly activations, fall with the rows of a device, and with model "
        "and sequence"
    ]
    found: dict[tuple[bool, bool, bool], str] = {}
    for change in _changes(forecast, layout):
        left = passing / change.fewer / (2 if change.halved else 1)
        after = kept / change.apart + left
        kinds = change.apart > 1, change.fewer > 1, change.halved
        # The smallest change of each kind, and no two together where one of them is enough.
        less = [other for other in found if all(a <= b for a, b in zip(other, kinds, strict=True))]
        if after <= forecast.usable and not less:
            words = " and ".join(_words(change, forecast, layout))
            found[kinds] = f"{words} would fit: about {after / GIB:.2f} GiB a device"
    if not found:
        most = layout.data * max(1, forecast.rows // layout.batches)
        least = kept / layout.data + passing / most
        times = 2
        while least / times > forecast.usable:
            times *= 2
        lines.append(
            f"no cut of rows and state makes it fit on {forecast.devices} devices: "
            f"{times} times as many, along fsdp, model or sequence, might"
        )
    return lines + list(found.values())


def _changes(forecast: Forecast, layout: Layout) -> Iterator[Change]:
    """All there are, small ones first."""
    rows = forecast.rows // layout.batches
    cuts = [n for n in range(1, layout.data + 1) if layout.data % n == 0]
    fewer = [n for n in range(1, rows + 1) if rows % n == 0]
    halved = (False, True) if forecast.compute == "float32" else (False,)
    every = itertools.starmap(Change, itertools.product(cuts, fewer, halved))
    return iter(sorted(every, key=lambda change: change.apart * change.fewer * (1 + change.halved)))


def _words(change: Change, forecast: Forecast, layout: Layout) -> Iterator[str]:
    if change.apart > 1:
        apart = {"data": layout.data // change.apart, "fsdp": layout.fsdp * change.apart}
        yield f"--mesh {dataclasses.replace(layout, **apart)}"
    if change.fewer > 1:
        yield f"--rows {forecast.rows // change.fewer}"
    if change.halved:
        yield "--training.compute bfloat16"
