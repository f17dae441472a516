"""A training step gives the same numbers in NNX's graph mode and in its tree mode."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import jax, numpy as np, optax
from flax import nnx
from attention_jax.data import Batch
from attention_jax.models import Transformer, TransformerConfig
from attention_jax.training.step import initial_state, make_train_step, split
config = TransformerConfig(vocabulary=11, width=8, encoder_layers=1, decoder_layers=1, heads=2,
                           feed_forward=8, dropout=0.1)
make = lambda rngs: Transformer(config, rngs=rngs)
graph, _ = split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
ids = np.arange(12, dtype=np.int32).reshape(2, 6) % 8 + 3
batch = Batch(ids, ids, ids, np.ones(ids.shape, np.float32))
state = jax.jit(lambda: initial_state(make, optax.adam(0.01), 0))()
step = make_train_step(graph, optax.adam(0.01))
for _ in range(2):
    state, metrics = step(state, batch)
print(float(metrics.loss).hex())
"""


def loss(**mode: str) -> str:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **mode}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow  # `test_family` compares the traced programs of all kinds of model
def test_graph_mode_and_tree_mode_agree():
    tree = loss(NNX_GRAPH_MODE="false", NNX_GRAPH_UPDATES="false")
    assert tree == loss() != ""
