"""Adam with a learning-rate schedule, from one frozen config.

Sources: Kingma and Ba 2015 (Adam); Loshchilov and Hutter 2017, 2019 (cosine decay; decoupled weight
decay); Vaswani et al. 2017, equation 3 (inverse square root with warm-up, known as Noam).
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

SCHEDULES = ("inverse_square_root", "constant", "cosine")


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam and the course of its learning rate; all steps are counted in updates."""

    schedule: Literal["inverse_square_root", "constant", "cosine"] = "inverse_square_root"
    """the rate after warm-up: peak·√(warmup/update), peak, or half a cosine down to `final`"""
    peak: float = 1e-3
    """the highest rate; (width·warmup)**-0.5 is that of the 2017 paper"""
    warmup: int = 400
    """updates of linear rise from `initial` to `peak`"""
    initial: float = 0.0
    """where warm-up starts from"""
    final: float = 0.0
    """where the cosine ends, at the last update"""
    b1: float = 0.9
    """decay of the gradient's mean"""
    b2: float = 0.98
    """decay of the gradient's square"""
    eps: float = 1e-9
    """what keeps Adam from dividing by zero"""
    weight_decay: float = 0.0
    """decoupled; for matrices only, not for biases and normalisation"""
    clip: float | None = 1.0
    """the largest norm of a whole gradient; None: no clipping"""
    accumulate: int = 1
    """batches an update: their gradients are averaged"""

    def __post_init__(self):
        """Refuses numbers that cannot train."""
        if self.schedule not in SCHEDULES:
            hint = " (Noam's is inverse_square_root)" if self.schedule == "noam" else ""
            raise ValueError(
                f"schedule is {self.schedule!r}; one of {', '.join(SCHEDULES)} would fit{hint}"
            )
        for name, low in (("warmup", 0), ("accumulate", 1)):
            if getattr(self, name) < low:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {low}")
        if not 0 < self.peak < math.inf:
            raise ValueError(f"peak is {self.peak}; a finite rate above 0 would fit")
        for name in ("initial", "final"):
            if not 0 <= getattr(self, name) <= self.peak:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; from 0 to the peak, {self.peak}, would fit"
                )
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1)")
        if not 0 < self.eps < math.inf:
            raise ValueError(f"eps is {self.eps}; a small number above 0 would fit")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay is {self.weight_decay}; a number from 0 up would fit")
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise ValueError(f"clip is {self.clip}; a number above 0, or None, would fit")


def make_optimizer(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """The transformation of gradients into updates.

    Args:
      config: what to do.
      steps: batches of the whole run; the cosine ends with the last.
    """
    parts = [] if config.clip is None else [optax.clip_by_global_norm(config.clip)]
    parts.append(optax.scale_by_adam(config.b1, config.b2, config.eps))
    if config.weight_decay:
        parts.append(optax.add_decayed_weights(config.weight_decay, mask=_matrices))
    parts.append(optax.scale_by_learning_rate(lambda count: _rate(config, steps, count, jnp)))
    optimizer = optax.chain(*parts)
    if config.accumulate == 1:
        return optimizer
    # MultiSteps is the transformation's interface in all but the class that it names.
    together = optax.MultiSteps(optimizer, config.accumulate)
    return optax.GradientTransformation(together.init, together.update)  # pyright: ignore[reportArgumentType]


def learning_rate(config: OptimizerConfig, steps: int, step: int) -> float:
    """The rate of the update that batch number `step` (from 0) is part of; runs on the host."""
    return float(_rate(config, steps, step // config.accumulate, np))


def _rate(config: OptimizerConfig, steps: int, count: Any, xp: Any) -> Any:
    """The rate of update number `count`, from 0; `xp` is numpy on the host, jax.numpy in a step."""
    update = count + 1
    warmup = max(config.warmup, 1)
    rise = config.initial + (config.peak - config.initial) * update / warmup
    if config.schedule == "inverse_square_root":
        after = config.peak * xp.sqrt(warmup / xp.maximum(update, warmup))
    elif config.schedule == "cosine":
        updates = max(steps // config.accumulate, warmup + 1)
        done = xp.clip((update - warmup) / (updates - warmup), 0, 1)
        after = config.final + (config.peak - config.final) * (1 + xp.cos(math.pi * done)) / 2
    else:
        after = config.peak
    return xp.where(update < warmup, rise, after)


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
