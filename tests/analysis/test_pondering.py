"""Ponder times of sentences and by length, against the model's own answer."""

from dataclasses import replace

import numpy as np
import pytest

from attention_jax.analysis.pondering import ponder_sentence, ponder_times
from attention_jax.data import Tokenizer
from attention_jax.data.batches import Batch
from attention_jax.data.tokens import END, START
from attention_jax.models.transformer import TransformerConfig
from attention_jax.models.universal import UniversalConfig
from attention_jax.training.step import split
from tests.models.family import LABELS, SOURCE, TARGET, build
from tests.models.test_universal import ACT, undecided

BATCH = Batch(SOURCE, TARGET, LABELS, np.float32(LABELS != 0))


@pytest.fixture(scope="module")
def model():
    return undecided(build(replace(ACT, encoder_steps=2, decoder_steps=2)))


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_means_are_over_the_tokens_of_a_length(model, side):
    found = ponder_times(*split(model), [BATCH, BATCH], side)
    steps = np.asarray(getattr(model.ponder(SOURCE, TARGET), side).steps)
    lengths = {"encoder": {5: [0], 3: [1], 7: [2]}, "decoder": {4: [0], 5: [1], 2: [2]}}[side]
    real = SOURCE != 0 if side == "encoder" else LABELS != 0
    assert list(found) == sorted(lengths)
    for length, (row,) in lengths.items():
        assert found[length].tokens == 2 * length
        np.testing.assert_allclose(found[length].steps, steps[row][real[row]].mean())


@pytest.mark.slow
def test_a_sentence_has_the_time_of_its_tokens():
    tokenizer = Tokenizer.train(["1 2 3 + 4"] * 3, 270)
    config = UniversalConfig(
        vocabulary=tokenizer.size,
        width=8,
        heads=2,
        feed_forward=8,
        halting="act",
        encoder_steps=1,
        decoder_steps=2,
    )
    model = undecided(build(config))
    found = ponder_sentence(*split(model), tokenizer, "1 2 + 3", "1 3")
    source = np.int32([[*tokenizer.encode("1 2 + 3"), END]])
    target_in = np.int32([[START, *tokenizer.encode("1 3")]])
    wanted = model.ponder(source, target_in)
    assert found["encoder"].tokens == ("1", "2", "+", "3", "<end>")
    assert found["decoder"].tokens == ("<start>", "1", "3")
    for side, one in found.items():
        np.testing.assert_array_equal(one.steps, getattr(wanted, side).steps[0])
        np.testing.assert_allclose(one.remainders, getattr(wanted, side).remainder[0])


def test_models_that_do_not_halt_are_refused():
    sizes = {"vocabulary": 23, "width": 8, "heads": 2, "feed_forward": 8}
    other = build(TransformerConfig(**sizes, encoder_layers=1, decoder_layers=1))
    with pytest.raises(ValueError, match="the model is a Transformer; a Universal would fit"):
        ponder_times(*split(other), [BATCH], "encoder")
    with pytest.raises(ValueError, match="halting is 'none'"):
        one = UniversalConfig(**sizes, encoder_steps=1, decoder_steps=1)
        ponder_times(*split(build(one)), [BATCH], "encoder")
