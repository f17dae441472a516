import pytest

from experiments.benchmarks.survival import kills


@pytest.mark.slow
def test_killed_at_random_moments_runs_end_with_the_same_bits(tmp_path):
    found = kills.check(tmp_path, count=2, seed=0)
    assert found["broken"] == []
    assert found["ended with the same bits"] == found["runs"] == 2
    assert found["kills"] >= 2
    assert sum(found["kills by moment"].values()) == found["kills"]
