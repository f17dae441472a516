"""What a step of training on one long text costs models side by side: time and memory."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from attention_jax.analysis.speed import Call, in_turn
from attention_jax.data import Batch
from attention_jax.functional import attend
from attention_jax.models.kinds import ModelConfig, build
from attention_jax.training.objective import translation
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.programs import Programs

SUMMARY = 64
"""tokens of what is written about a text"""


def costs(
    configs: Mapping[str, ModelConfig],
    length: int,
    *,
    rounds: int = 5,
    summary: int = SUMMARY,
    backends: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """What one step on one text costs, update included, the models in turn.

    Args:
      configs: of the models, by name.
      length: tokens of the text.
      rounds: how often.
      summary: tokens of the target.
      backends: of attention, by the name of the model, as `attend` knows them; "auto" for others,
        which on long texts does not keep all weights.

    Returns:
      A record a model and round: "model", "length", "round", "step_ms", and "megabytes", what the
      compiled step holds at once: state, batch and temporaries, by the compiler's own account.
    """
    chosen = dict.fromkeys(configs, "auto") | dict(backends or {})
    programs = {name: _programs(config, chosen[name]) for name, config in configs.items()}
    steps = {
        name: _stepping(one, configs[name].vocabulary, length, summary)
        for name, one in programs.items()
    }
    seconds = in_turn(steps, rounds)
    return [
        {
            "model": name,
            "length": length,
            "round": at,
            "step_ms": 1e3 * seconds[name][at],
            "megabytes": one.step_bytes / 1e6,
        }
        for name, one in programs.items()
        for at in range(rounds)
    ]


def _programs(config: ModelConfig, backend: str) -> Programs:
    def make(rngs: Any) -> Any:
        return build(config, rngs=rngs)

    objective = partial(translation, attend=partial(attend, backend=backend))
    fixed = {"steps": 0, "smoothing": 0.0, "rng": "rbg", "objective": objective}
    return Programs(make, OptimizerConfig(), **fixed)


def _stepping(programs: Programs, vocabulary: int, length: int, summary: int) -> Call:
    """One step after another, on a text and a summary of chance."""
    chance = np.random.default_rng(0)
    text, said = (chance.integers(3, vocabulary, (1, n), np.int32) for n in (length, summary))
    batch = Batch(text, said, said, np.ones((1, summary), np.float32))
    state = programs.start(0)

    def step() -> Any:
        nonlocal state
        state, metrics = programs.step(state, batch)
        return metrics.loss

    return step
