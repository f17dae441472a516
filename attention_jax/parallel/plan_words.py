"""A forecast in words, for a terminal."""

import math
from collections.abc import Sequence

from attention_jax.parallel.forecast import HEADROOM, Forecast
from attention_jax.parallel.topologies import CHIPS, GIB

NOTES = 5  # lines that are shown: large models have hundreds of alike parameters


def words_of(forecast: Forecast, model: str, advice: Sequence[str]) -> list[str]:
    """The lines that `attention-jax plan` prints.

    Args:
      forecast: of a step.
      model: what to call it.
      advice: what would make it fit.
    """
    f, chip = forecast, CHIPS[forecast.topology.partition(":")[0]]
    verdict = {True: "FITS", False: "DOES NOT FIT", None: "whether it fits is not known"}[f.fits]
    room = "" if math.isnan(f.memory) else f" of {f.memory / GIB:.2f}, {HEADROOM:.0%} left free"
    lines = [
        f"{model}, {f.parameters:,} parameters, on {f.topology} as {f.mesh}: "
        f"{f.devices} x {chip.maker}",
        f"{f.rows:,} rows of {f.length:,} tokens, {f.compute}",
        "",
        f"memory of a device    {f.held / GIB:.2f} GiB{room}: {verdict}",
        f"  state and batch     {f.arguments / GIB:.2f} GiB",
        f"  temporaries         {f.temporaries / GIB:.2f} GiB, gradients "
        f"({f.gradients / GIB:.2f}) among them",
    ]
    if f.results > GIB / 100:
        lines.append(f"  results             {f.results / GIB:.2f} GiB")
    if chip.platform == "cuda":
        lines.append("  (JAX takes 75% of a GPU's memory; XLA_PYTHON_CLIENT_MEM_FRACTION=.92: all)")
    if f.compiled:
        lines += [
            "",
            f"work of a device      {f.flops / 1e12:.3g} TFLOP, {f.moved / 1e9:.3g} GB moved",
        ]
        for kind, found in f.sent.items():
            lines.append(f"  {kind:<20}{found['count']:,}, {found['bytes'] / 1e6:,.1f} MB sent")
        if not f.sent:
            lines.append("  no collectives")
    if math.isfinite(f.seconds):
        lines += [
            "",
            f"a step, at least      {f.seconds * 1e3:.3g} ms, were nothing done at the same time",
            f"  arithmetic          {f.arithmetic_seconds * 1e3:.3g} ms, or, if longer,",
            f"  memory              {f.memory_seconds * 1e3:.3g} ms",
            f"  collectives         {f.collective_seconds * 1e3:.3g} ms, "
            f"{f.share_in_collectives:.1%} of the step",
        ]
        if f.optimal_seconds is not None:
            lines.append(f"  the compiler says   {f.optimal_seconds * 1e3:.3g} ms")
        lines += [
            f"speed, at most        {f.tokens_per_second:,.0f} tokens/s, "
            f"{f.share_of_peak:.1%} of the peak of {f.peak / 1e12:,.0f} TFLOP/s",
        ]
    more = [f"and {len(f.notes) - NOTES} more such"] if len(f.notes) > NOTES else []
    ended = "compiled in" if f.compiled else "too little memory, says the compiler after"
    lines += ["", f"{ended} {f.seconds_to_compile:.0f} s", *f.notes[:NOTES], *more]
    return [*lines, *([""] if advice else []), *advice]
