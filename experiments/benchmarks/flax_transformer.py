"""A peer of training_step.py: the same encoder-decoder in plain Flax NNX, as a user writes it.

`nnx.Embed`, `nnx.MultiHeadAttention`, `nnx.LayerNorm`, `nnx.Optimizer`, `nnx.jit`, masks by
`nnx.make_causal_mask`, smoothed one-hot targets: what tutorials show, nothing tuned.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from attention_jax.functional.positions import sinusoidal
from experiments.benchmarks.bench.prepared import Prepared


class Layer(nnx.Module):
    def __init__(self, width, heads, inner, dropout, decoder, *, rngs):
        def attention():
            return nnx.MultiHeadAttention(heads, width, use_bias=False, decode=False, rngs=rngs)

        self.attention = attention()
        self.cross = attention() if decoder else None
        self.expand = nnx.Linear(width, inner, rngs=rngs)
        self.contract = nnx.Linear(inner, width, rngs=rngs)
        norms = [nnx.LayerNorm(width, rngs=rngs) for _ in range(3 if decoder else 2)]
        self.norms = nnx.List(norms)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, x, mask, memory=None, memory_mask=None):
        x = self.norms[0](x + self.dropout(self.attention(x, mask=mask)))
        if self.cross is not None:
            read = self.cross(x, memory, mask=memory_mask)
            x = self.norms[1](x + self.dropout(read))
        inner = self.contract(nnx.relu(self.expand(x)))
        return self.norms[-1](x + self.dropout(inner))


class Transformer(nnx.Module):
    def __init__(self, *, vocabulary, width, encoder_layers, decoder_layers, heads, feed_forward,
                 dropout, rngs):  # fmt: skip
        init = nnx.initializers.normal(width**-0.5)
        self.table = nnx.Embed(vocabulary, width, embedding_init=init, rngs=rngs)
        sizes = width, heads, feed_forward, dropout
        self.encoder = nnx.List([Layer(*sizes, False, rngs=rngs) for _ in range(encoder_layers)])
        self.decoder = nnx.List([Layer(*sizes, True, rngs=rngs) for _ in range(decoder_layers)])
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def embed(self, tokens):
        rows = self.table(tokens) * self.table.features**0.5
        return self.dropout(rows + sinusoidal(tokens.shape[1], self.table.features)[None])

    def __call__(self, source, target_in) -> Array:
        seen = (source != 0)[:, None, None, :]
        memory = self.embed(source)
        for layer in self.encoder:
            memory = layer(memory, seen)
        x, causal = self.embed(target_in), nnx.make_causal_mask(target_in)
        for layer in self.decoder:
            x = layer(x, causal, memory, seen)
        return self.table.attend(x)


@nnx.jit
def train_step(model, optimizer, source, target_in, target_out):
    """One step; gives the loss before it."""

    def loss_of(model):
        logits, weights = model(source, target_in), target_out != 0
        targets = optax.smooth_labels(jax.nn.one_hot(target_out, logits.shape[-1]), 0.1)
        losses = optax.softmax_cross_entropy(logits, targets)
        return jnp.sum(losses * weights) / jnp.sum(weights)

    loss, gradient = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, gradient)
    return loss


def prepare(fields: dict, batch: dict) -> Prepared:
    """The step on one batch."""
    model = Transformer(**fields, rngs=nnx.Rngs(0))
    model.train()
    optimizer = nnx.Optimizer(model, optax.adam(1e-4, b1=0.9, b2=0.98), wrt=nnx.Param)
    arrays = {name: jnp.asarray(np.asarray(rows, np.int32)) for name, rows in batch.items()}

    def call() -> float:
        loss = train_step(model, optimizer, **arrays)
        jax.block_until_ready(nnx.state((model, optimizer)))
        return float(loss)

    return Prepared(call, lambda loss: [loss], f"jax {jax.__version__}, plain NNX")
