"""What long texts cost: a record for each model and round, and what grows grows."""

import pytest

from attention_jax.analysis.long_costs import costs
from attention_jax.models.summarise import SummariseConfig


@pytest.mark.slow
def test_memory_grows_with_the_square_of_the_length_only_where_all_is_seen():
    sizes = {"vocabulary": 23, "width": 8, "heads": 2, "feed_forward": 8, "block": 16}
    configs = {one: SummariseConfig(sights=(one,), **sizes) for one in ("full", "local")}
    small, large = (
        costs(configs, n, rounds=2, summary=16, backends={"full": "reference"}) for n in (112, 496)
    )
    assert [(one["model"], one["round"]) for one in small] == [
        ("full", 0), ("full", 1), ("local", 0), ("local", 1)
    ]  # fmt: skip
    assert all(one["step_ms"] > 0 and one["length"] == 112 for one in small)
    ratio = {
        name: after["megabytes"] / before["megabytes"]
        for name in configs
        for before, after in zip(small, large, strict=True)
        if before["model"] == name
    }
    assert ratio["full"] > 9 and 2 < ratio["local"] < 6
