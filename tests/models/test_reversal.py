"""Every kind of model learns to reverse what it reads, and writes it by every way of decoding."""

import random
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from attention_jax.data.batches import Batch
from attention_jax.data.tokens import END, START
from attention_jax.decoding import DecodingConfig, Translator
from attention_jax.decoding.trace import trace
from attention_jax.models import kinds
from attention_jax.training.step import initial_state, train_step
from tests.models.family import FAMILY, KINDS, in_turn, structure

SENTENCES, LONGEST = 32, 8
LENGTH = LONGEST + 2
STEPS, ENOUGH = 600, 0.005
"""of training, and the loss, in nats a token, that ends it sooner"""


class Numbers:
    """The tokenizer of sentences that are numbers."""

    def encode_all(self, texts):
        return [[int(word) for word in text.split()] for text in texts]

    def decode(self, ids):
        words = list(map(str, ids))
        return " ".join(words[: words.index(str(END))])


def reversal():
    """A batch of sentences of tokens 3 to 22, their labels the same from the end."""
    chance = random.Random(0)
    source, labels = np.zeros((2, SENTENCES, LONGEST + 1), np.int32)
    for row in range(SENTENCES):
        sentence = chance.choices(range(3, 23), k=1 + row % LONGEST)
        source[row, : len(sentence) + 1] = [*sentence, END]
        labels[row, : len(sentence) + 1] = [*sentence[::-1], END]
    target = np.pad(labels[:, :-1], ((0, 0), (1, 0)), constant_values=START)
    return Batch(source, target, labels, np.float32(labels != 0))


@pytest.fixture(scope="module", params=in_turn(KINDS, ("rnn_seq2seq", "luong")))
def learned(request):
    """A model that has read every sentence often enough, and what it began as."""
    config = replace(FAMILY[request.param], width=32, dropout=0.0)
    graph, optimizer, batch = structure(config), optax.adam(0.01), reversal()
    train = train_step(graph, optimizer, smoothing=0.0, rng="threefry2x32")

    @jax.jit
    def run():
        first = initial_state(
            lambda rngs: kinds.build(config, rngs=rngs), optimizer, 0, rng="threefry2x32"
        )

        def unfinished(reached):
            state, loss = reached
            return (loss > ENOUGH) & (state.step < STEPS)

        def go_on(reached):
            state, metrics = train(reached[0], batch)
            return state, metrics.loss

        return first.params, *jax.lax.while_loop(unfinished, go_on, (first, jnp.float32(9)))

    first, state, _ = run()
    return SimpleNamespace(graph=graph, first=first, params=state.params, batch=batch)


def test_every_parameter_learns(learned):
    changed = jax.tree.map(lambda old, new: bool((old != new).any()), learned.first, learned.params)
    names = jax.tree_util.tree_leaves_with_path(changed)
    assert not [jax.tree_util.keystr(name) for name, has in names if not has]


def test_every_sentence_is_reversed(learned):
    config = DecodingConfig(max_length=LENGTH, rows=SENTENCES)
    translator = Translator(learned.graph, learned.params, Numbers(), config, LONGEST + 1)
    lines = [Numbers().decode(row) for row in learned.batch.source]
    assert translator.translate(lines) == [" ".join(line.split()[::-1]) for line in lines]


def test_beams_that_change_places_keep_what_they_remember(learned):
    """The search's own sums of log-probabilities are those of one pass over what was written."""
    row = SENTENCES - 1
    source, labels = learned.batch.source[row], learned.batch.target_out[row]
    sizes = {"length": LENGTH, "beams": 3, "penalty": 0.0, "hypotheses": 3}
    found = trace(learned.graph, learned.params, source, **sizes)
    written = np.zeros((3, LENGTH), np.int32)
    for at, one in enumerate(found.hypotheses):
        written[at, : len(one.tokens)] = one.tokens
    assert written[0].tolist() == [*labels.tolist(), 0]
    assert any(parent != at for step in found.steps for at, (_, _, parent) in enumerate(step))

    @jax.jit
    def chances(params):
        target = np.pad(written[:, :-1], ((0, 0), (1, 0)), constant_values=START)
        logits = nnx.merge(learned.graph, params)(np.tile(source, (3, 1)), target)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), written[..., None], -1)[..., 0]
        return jnp.where(written != 0, chosen, 0).sum(-1)

    scores = [one.score for one in found.hypotheses]
    np.testing.assert_allclose(scores, chances(learned.params), rtol=1e-4, atol=1e-5)
