"""What safety costs: the guard in a training step, the digests in saving and restoring.

With and without take turns in one process, so that a slow minute of the machine hits both alike.
Figures are medians over rounds, and ratios of medians. Restores read what has just been written,
from memory if the system has it there: where a disk is slower, digests are a smaller part.
"""

import functools
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from attention_jax.data.batches import Batch
from attention_jax.models.transformer import PRESETS, Transformer, TransformerConfig
from attention_jax.training.checkpoint import Checkpoints
from attention_jax.training.optimizer import OptimizerConfig, make_optimizer
from attention_jax.training.step import initial_state, split, train_step

ROWS, LENGTH = 64, 32
MODELS = {name: PRESETS[name] for name in ("tiny", "base")}
"""10 MB and 252 MB of float32"""


def check(
    folder: Path,
    *,
    rounds: int,
    seed: int = 0,
    models: Mapping[str, TransformerConfig] = MODELS,
) -> dict[str, Any]:
    """The cost of a guarded step of the first model, and of verified checkpoints of each.

    Args:
      folder: gets checkpoints, which go again.
      rounds: of which the median is taken; two more of steps are not counted.
      seed: of weights and tokens.
      models: whose sizes are measured.

    Returns:
      Seconds with and without, and `ratio`, by what is measured.
    """
    first, config = next(iter(models.items()))
    figures: dict[str, Any] = {f"step, {first}": step_cost(config, rounds=rounds, seed=seed)}
    for name, config in models.items():
        tree = weights(config, seed)
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) / 1e6
        found = checkpoint_cost(folder / name, tree, rounds=rounds)
        figures |= {f"{what}, {name}, {size:.0f} MB": ratio for what, ratio in found.items()}
    return figures


def step_cost(config: TransformerConfig, *, rounds: int, seed: int) -> dict[str, float]:
    """A training step of 64 x 32 tokens with the guard and without."""
    graph, _ = split(nnx.eval_shape(lambda: Transformer(config, rngs=nnx.Rngs(0))))
    optimizer = make_optimizer(OptimizerConfig(), 0)
    start = jax.jit(lambda: initial_state(_maker(config), optimizer, seed))
    batch = _batch(config.vocabulary, seed)
    ways: dict[str, Callable[[], None]] = {}
    for name, guarded in (("with", True), ("without", False)):
        step = train_step(graph, optimizer, smoothing=0.1, rng="rbg", guarded=guarded)
        program = jax.jit(step, donate_argnums=0)
        ways[name] = functools.partial(_advance, program, [start()], batch)
    return _compared(ways, rounds, warm=2)


def checkpoint_cost(folder: Path, tree: Any, *, rounds: int) -> dict[str, dict[str, float]]:
    """Saving and restoring with digests and without; "blocked" is what training waits for."""
    structs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)
    blocked: dict[str, list[float]] = {"with": [], "without": []}
    try:
        with (
            Checkpoints(folder / "with", keep=1) as verified,
            Checkpoints(folder / "without", keep=1, verify=False) as bare,
        ):
            savers = {"with": verified, "without": bare}

            def save(name: str) -> None:
                saver, began = savers[name], time.perf_counter()
                saver.save(max(saver.steps, default=0) + 1, tree, {}, best=None)
                blocked[name].append(time.perf_counter() - began)
                saver.wait()

            def restore(name: str) -> None:
                savers[name].load(structs)

            found = {
                what: _compared({name: functools.partial(act, name) for name in savers}, rounds)
                for what, act in (("save", save), ("restore", restore))
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    # The first of each warmed up.
    return found | {"blocked": _figures({name: times[1:] for name, times in blocked.items()})}


def weights(config: TransformerConfig, seed: int) -> Any:
    """Arrays with the shapes of a model's parameters, filled with noise, which does not shrink."""
    _, structs = split(nnx.eval_shape(lambda: Transformer(config, rngs=nnx.Rngs(0))))
    chance = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: chance.standard_normal(leaf.shape, np.float32), structs)


def _compared(
    ways: Mapping[str, Callable[[], None]], rounds: int, *, warm: int = 1
) -> dict[str, float]:
    """Seconds of each way, which take turns in going first."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(warm + rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            ways[name]()
            times[name].append(time.perf_counter() - began)
    return _figures({name: found[warm:] for name, found in times.items()})


def _figures(times: Mapping[str, list[float]]) -> dict[str, float]:
    medians = {name: statistics.median(found) for name, found in times.items()}
    return medians | {"ratio": medians["with"] / medians["without"]}


def _maker(config: TransformerConfig) -> Callable[[nnx.Rngs], Transformer]:
    return lambda rngs: Transformer(config, rngs=rngs)


def _advance(program: Any, state: list[Any], batch: Batch) -> None:
    """One step, waited for; the state in the list is used up and replaced."""
    state[0], metrics = program(state[0], batch)
    jax.block_until_ready((state[0], metrics))


def _batch(vocabulary: int, seed: int) -> Batch:
    chance = np.random.default_rng(seed)
    source, target = (chance.integers(3, vocabulary, (ROWS, LENGTH), np.int32) for _ in range(2))
    target_in = np.concatenate([np.ones((ROWS, 1), np.int32), target[:, :-1]], axis=1)
    return Batch(source, target_in, target, np.ones((ROWS, LENGTH), np.float32))
