"""Timing side by side."""

import jax.numpy as jnp
import numpy as np

from attention_jax.analysis.speed import in_turn, programs_of, training, writing
from attention_jax.models.transformer import TransformerConfig

CONFIG = TransformerConfig(
    vocabulary=23, width=8, encoder_layers=1, decoder_layers=1, heads=2, feed_forward=8, dropout=0.0
)


def test_calls_take_turns_and_the_first_round_does_not_count():
    called = []
    names = {name: lambda name=name: called.append(name) or jnp.zeros(2) for name in "ab"}
    found = in_turn(names, 3)
    assert called == list("abababab")
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 3, "b": 3}
    assert min(min(seconds) for seconds in found.values()) > 0


def test_what_is_timed_trains_and_writes():
    programs = programs_of(CONFIG)
    step = training(programs, 23, rows=2, length=4)
    losses = [float(step()) for _ in range(60)]
    assert losses[-1] < losses[0]
    written = np.asarray(writing(programs, 23, rows=2, length=4)())
    assert written.shape == (4, 2)
    assert ((written >= 0) & (written < 23)).all()
