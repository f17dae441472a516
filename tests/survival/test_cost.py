import pytest

from attention_jax.models.transformer import TransformerConfig
from experiments.benchmarks.survival import cost


@pytest.mark.slow
def test_what_safety_costs_is_measured_both_ways(tmp_path):
    small = TransformerConfig(
        vocabulary=300, width=8, encoder_layers=1, decoder_layers=1, heads=2, feed_forward=8
    )
    found = cost.check(tmp_path, rounds=1, models={"small": small})
    ratios = [value for name, value in flat(found) if name.endswith("ratio")]
    assert len(ratios) >= 3 and all(ratio > 0 for ratio in ratios), found
    assert not list(tmp_path.iterdir())


def flat(tree, name=""):
    if isinstance(tree, dict):
        return [pair for key, value in tree.items() for pair in flat(value, f"{name}.{key}")]
    return [(name, tree)]
