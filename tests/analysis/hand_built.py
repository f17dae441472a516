"""A Transformer whose every head is set by hand, for tests that must know what a head does.

The task: say the source again, one word late (`target_out[t] = source[t - 1]`, the first word
twice). In the one encoder layer the head "previous" brings each token's predecessor along, "same"
votes against the token itself (of the first word that is wrong: the model is better without it),
"uniform" votes for all tokens of the sentence, and "useless" writes nothing.
In the cross-attention "reader" fetches what stands at the decoder's own position. In the decoder
"first" looks at the start mark. All other heads are random, and like "first" they write nothing.

Heads find places by the sinusoidal positions: a query is the position turned by a fixed shift
(sin(a - b) = sin a cos b - cos a sin b), so that its product with a key is a sum of cosines whose
only summit within a sentence lies at that shift. Kernels' columns sum to zero: what layer
normalisation subtracts never counts.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attention_jax.data.batches import Batch
from attention_jax.models.places import Head
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.step import split

WIDTH, HEADS, SIZE, TOKENS = 64, 4, 16, 12
OWN, PREVIOUS = 36, 48  # where the stream holds a token's own one-hot vector and its predecessor's
LARGE = 60  # this feature and the next: 32 and -32 in every token
ZERO, ONE = 62, 63  # sine and cosine of the slowest angle: two constants
SIGMA = (2 * 32**2 / WIDTH) ** 0.5  # what layer normalisation divides by, within a hundredth
SHARP = 200.0

CONFIG = TransformerConfig(
    vocabulary=TOKENS, width=WIDTH, encoder_layers=1, decoder_layers=1, heads=HEADS,
    feed_forward=8, dropout=0.0, norm="pre", tied=False,
)  # fmt: skip


def hand_built():
    """(config, graph, params, batch, named): the model, a batch of its task, its heads by name."""
    graph, params = split(Transformer(CONFIG, rngs=nnx.Rngs(0)))
    chance = np.random.default_rng(0)
    encoder, decoder = params["encoder"][0], params["decoder"][0]
    encoder["attention"] = _attention(
        chance,
        {
            0: (_shifted(-1), _shifted(0), _copied(OWN), _written(PREVIOUS, 1.0)),
            1: (_shifted(0), _shifted(0), _copied(OWN), _written(PREVIOUS, -0.3)),
            2: (_nothing(), _shifted(0), _copied(OWN), _written(PREVIOUS, 0.2)),
        },
    )
    decoder["attention"] = _attention(chance, {0: (_constant(), _shifted(0), _nothing(), None)})
    decoder["cross"] = _attention(
        chance, {0: (_shifted(0), _shifted(0), _copied(PREVIOUS), _written(PREVIOUS, 1.0))}
    )
    for layer in (encoder, decoder):
        layer["feed_forward"]["contract"]["kernel"] = np.zeros((8, WIDTH), np.float32)
    table = np.zeros((TOKENS, WIDTH), np.float32)
    table[range(TOKENS), OWN + np.arange(TOKENS)] = 4 / WIDTH**0.5
    table[:, LARGE : LARGE + 2] = np.array([[32, -32]]) / WIDTH**0.5
    params["source_embedding"]["table"] = params["target_embedding"]["table"] = table
    params["projection"]["kernel"] = 2 * _copied(PREVIOUS)[:, :TOKENS]
    named = {
        "previous": Head("encoder", 0, 0),
        "same": Head("encoder", 0, 1),
        "uniform": Head("encoder", 0, 2),
        "useless": Head("encoder", 0, 3),
        "first": Head("decoder", 0, 0),
        "reader": Head("cross", 0, 0),
    }
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    return CONFIG, graph, params, batch_of_the_task(), named


def batch_of_the_task(rows: int = 8, length: int = 10, seed: int = 0) -> Batch:
    """Sentences of 4 tokens and more, none twice in a row, padded with token 0."""
    chance = np.random.default_rng(seed)
    source, target = np.zeros((2, rows, length), np.int32)
    for row in range(rows):
        words = chance.permutation(np.arange(3, TOKENS))[: chance.integers(4, TOKENS - 3 + 1)]
        source[row, : len(words)] = words
        target[row, : len(words)] = [words[0], *words[:-1]]
    before = np.where(target != 0, np.roll(target, 1, axis=1), 0)
    before[:, 0] = 1
    return Batch(source, before, target, (target != 0).astype(np.float32))


def _attention(chance, heads):
    """The four kernels; a head that is not given is random and writes nothing."""
    kernels = {name: np.zeros((WIDTH, WIDTH), np.float32) for name in ("query", "key", "value")}
    output = np.zeros((WIDTH, WIDTH), np.float32)
    for head in range(HEADS):
        here = slice(head * SIZE, (head + 1) * SIZE)
        given = heads.get(head, (*chance.normal(0, 0.3, (3, WIDTH, SIZE)), None))
        for kernel, values in zip(kernels.values(), given, strict=False):
            kernel[:, here] = values
        if given[3] is not None:
            output[here] = given[3]
    return {name: {"kernel": kernel} for name, kernel in (kernels | {"output": output}).items()}


def _shifted(by):
    """The fastest angles of a position, as at the position `by` further on."""
    kernel = np.zeros((WIDTH, SIZE))
    for i in range(0, SIZE, 2):
        angle = by * 10_000 ** (-i / WIDTH)
        kernel[i : i + 2, i] = np.cos(angle), np.sin(angle)
        kernel[i : i + 2, i + 1] = -np.sin(angle), np.cos(angle)
    return _centred(kernel * SIGMA * SHARP**0.5)


def _constant():
    """The angles of the position 0, wherever the query stands."""
    kernel = np.zeros((WIDTH, SIZE))
    kernel[ONE, 1::2] = SIGMA * SHARP**0.5
    return _centred(kernel)


def _copied(place):
    """A token's one-hot vector, without the position that was added to it."""
    kernel = np.zeros((WIDTH, SIZE))
    for token in range(TOKENS):
        kernel[place + token, token] = SIGMA
        kernel[ONE if (place + token) % 2 else ZERO, token] = -SIGMA
    return kernel


def _written(place, scale):
    kernel = np.zeros((SIZE, WIDTH))
    kernel[range(TOKENS), place + np.arange(TOKENS)] = scale
    return kernel


def _nothing():
    return np.zeros((WIDTH, SIZE))


def _centred(kernel):
    kernel[ZERO] -= kernel.sum(0)
    return kernel
