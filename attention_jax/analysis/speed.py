"""How long models take side by side: a step of training, and writing a translation."""

import functools
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from attention_jax.data import START, Batch
from attention_jax.models.kinds import ModelConfig, build
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.programs import Programs

Call = Callable[[], Any]


def in_turn(calls: Mapping[str, Call], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call, in rounds in which all take turns; a round before them compiles.

    What disturbs a machine for a while then disturbs all of them.

    Args:
      calls: what to time; each waits for the arrays that it returns.
      rounds: how often.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            jax.block_until_ready(call())
            if turn:
                found[name].append(time.perf_counter() - began)
    return found


def programs_of(config: ModelConfig) -> Programs:
    """What training compiles for a model; nothing is dropped where the config says so."""

    def make(rngs: nnx.Rngs) -> nnx.Module:
        return build(config, rngs=rngs)

    return Programs(make, OptimizerConfig(), steps=0, smoothing=0.0, rng="rbg")


def training(programs: Programs, vocabulary: int, rows: int, length: int) -> Call:
    """One step of training on sentences that are all of one length, update included.

    Args:
      programs: of the model.
      vocabulary: tokens that the sentences are drawn from.
      rows: sentences.
      length: tokens of their sources and targets.
    """
    source = _sentences(vocabulary, rows, length)
    batch = Batch(source, source, source, np.ones((rows, length), np.float32))
    state = programs.start(0)

    def step() -> Array:
        nonlocal state
        state, metrics = programs.step(state, batch)
        return metrics.loss

    return step


def writing(programs: Programs, vocabulary: int, rows: int, length: int) -> Call:
    """Reading sentences and writing as many tokens, greedily and without an end.

    Args:
      programs: of the model.
      vocabulary: tokens that the sentences are drawn from.
      rows: sentences.
      length: tokens of their sources and translations.
    """
    source, params = _sentences(vocabulary, rows, length), programs.start(0).params

    return partial(decoder(programs.graph, length), params, source)


@functools.lru_cache(maxsize=8)
def decoder(graph: nnx.GraphDef, length: int) -> Callable[[Any, Any], Array]:
    """The jitted greedy search without an end: (params, source [B, S]) -> tokens [T, B]."""

    @jax.jit
    def decode(params: Any, source: Int[Array, "B S"]) -> Int[Array, "T B"]:
        model: Any = nnx.merge(graph, params)

        def advance(carry, _):
            cache, tokens = carry
            logits, cache = model.step(cache, tokens)
            tokens = jnp.argmax(logits, -1).astype(jnp.int32)
            return (cache, tokens), tokens

        first = model.start(source, length), jnp.full(source.shape[0], START, jnp.int32)
        return jax.lax.scan(advance, first, length=length)[1]

    return decode


def compared(
    configs: Mapping[str, ModelConfig], length: int, *, tokens: int, rows: int, rounds: int
) -> list[dict[str, Any]]:
    """How long models take at one length, the models in turn.

    Args:
      configs: of the models, all with as many tokens, by name.
      length: of sources and targets.
      tokens: on a side of a training batch, so that it has tokens / length sentences.
      rows: sentences that are written side by side.
      rounds: how often.

    Returns:
      A record a model and round: "model", "length", "round", "parameters", and, in microseconds a
      token, "train_us" and "write_us".
    """
    programs = {name: programs_of(config) for name, config in configs.items()}
    sizes = {
        name: (config.vocabulary, max(1, tokens // length), length)
        for name, config in configs.items()
    }
    trained = in_turn({name: training(one, *sizes[name]) for name, one in programs.items()}, rounds)
    written = in_turn(
        {name: writing(one, sizes[name][0], rows, length) for name, one in programs.items()}, rounds
    )
    return [
        {
            "model": name,
            "length": length,
            "round": at,
            "parameters": one.parameters,
            "train_us": 1e6 * trained[name][at] / (sizes[name][1] * length),
            "write_us": 1e6 * written[name][at] / (rows * length),
        }
        for name, one in programs.items()
        for at in range(rounds)
    ]


def _sentences(vocabulary: int, rows: int, length: int) -> Int[np.ndarray, "B S"]:
    return np.random.default_rng(0).integers(3, vocabulary, (rows, length), np.int32)
