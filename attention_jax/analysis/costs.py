"""What a model costs and what it is worth: for tables of before and after."""

import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from attention_jax.analysis.ablation import config_of
from attention_jax.analysis.ablation import loss as loss_of
from attention_jax.analysis.speed import decoder
from attention_jax.data import START, Batch
from attention_jax.models.sizes import cache_bytes
from attention_jax.training import checkpoint
from attention_jax.training.step import make_eval_step


def compare(
    models: Mapping[str, tuple[nnx.GraphDef, Any]],
    batches: Sequence[Batch],
    *,
    score: Callable[[nnx.GraphDef, Any], float] | None = None,
    rows: int = 64,
    length: int = 32,
    repeats: int = 5,
) -> list[dict[str, Any]]:
    """What models cost and what they are worth, one row each, as pruning.json holds it.

    Speeds are medians of `repeats` rounds in which all models take turns, compilation left out:
    decoding of `rows` sentences, all for `length` tokens, through the cache, and reading of
    `batches` for the loss.

    Args:
      models: (graph, params) by what the table calls them.
      batches: for the loss, in nats a token.
      score: how translations are judged; None leaves "score" None.
      rows: sentences side by side.
      length: tokens of their sources and translations.
      repeats: of every timing.
    """
    models = {name: (graph, jax.device_put(params)) for name, (graph, params) in models.items()}
    source = np.full((rows, length), START, np.int32)  # any token but padding takes as long
    real = sum(float(np.sum(batch.weights)) for batch in batches)
    decoding: dict[str, list[float]] = {name: [] for name in models}
    scoring: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(repeats + 1):
        for name, (graph, params) in models.items():
            decoded = _seconds(lambda g=graph, p=params: decoder(g, length)(p, source))
            read = _seconds(lambda g=graph, p=params: [_reader(g)(p, batch) for batch in batches])
            if turn:  # the first compiles
                decoding[name].append(decoded)
                scoring[name].append(read)
    return [
        {
            "what": name,
            **sizes(graph, params, length=length),
            "tokens_per_second": rows * length / statistics.median(decoding[name]),
            "scored_tokens_per_second": real / statistics.median(scoring[name]),
            "loss": loss_of(graph, params, batches),
            "score": None if score is None else score(graph, params),
        }
        for name, (graph, params) in models.items()
    ]


def sizes(graph: nnx.GraphDef, params: Any, *, length: int) -> dict[str, int]:
    """What a model is made of, and what it keeps of one sentence while it decodes.

    Args:
      graph: the model's structure.
      params: its parameters.
      length: tokens of the source, and of the target.

    Returns:
      "heads", "parameters", "cache_bytes" of keys and values, and "file_bytes" of a checkpoint of
      the parameters alone.
    """
    config = config_of(graph, params)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.write(Path(folder) / "params", jax.device_get(params), {})
        files = [path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()]
    return {
        "heads": len(config.every_head()),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "cache_bytes": cache_bytes(config, length, length),
        "file_bytes": sum(files),
    }


_reader = functools.lru_cache(maxsize=8)(make_eval_step)


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - began
