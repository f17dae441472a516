"""Parameters that match."""

from dataclasses import replace

import pytest

from attention_jax.comparison.command import SMALL
from attention_jax.models.decoder_only import DecoderOnlyConfig
from attention_jax.models.sizes import all_matched, matched, parameters
from attention_jax.models.transformer import TransformerConfig


def test_parameters_match():
    base = SMALL.model
    many, one = replace(base, heads=8, head_size=16), replace(base, heads=1, head_size=16)
    found = matched(one, many)
    assert found == replace(one, feed_forward=found.feed_forward)
    assert all_matched([one, many]) == [found, many]
    for vocabulary in (1, 1_500):
        counts = [parameters(replace(model, vocabulary=vocabulary)) for model in (found, many)]
        assert abs(counts[0] - counts[1]) < 0.005 * counts[1]
    with pytest.raises(ValueError, match="no feed_forward gives 8 heads .* a larger base"):
        matched(replace(many, head_size=64), one)


def test_one_sequence_can_have_the_parameters_of_an_encoder_and_a_decoder():
    two = TransformerConfig(vocabulary=100, width=32, encoder_layers=2, decoder_layers=2)
    one = DecoderOnlyConfig(vocabulary=100, width=32, positions="sinusoidal", bias=True)
    found = matched(one, two)
    assert replace(found, feed_forward=one.feed_forward) == one
    assert abs(parameters(found) - parameters(two)) < 0.005 * parameters(two)
