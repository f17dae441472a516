"""Parameters that match."""

from dataclasses import replace

import pytest

from attention_jax.comparison.command import SMALL
from attention_jax.models.sizes import all_matched, matched, parameters


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
