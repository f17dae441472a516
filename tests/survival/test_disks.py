import pytest

from experiments.benchmarks.survival import disks


@pytest.mark.slow
@pytest.mark.exhaustive  # a quick run may end before its disk fails, which counts as broken
def test_a_disk_that_fails_costs_no_good_step(tmp_path):
    found = disks.check(tmp_path, count=1, seed=0)
    if "skipped" in found:
        pytest.skip(found["skipped"])
    assert found["broken"] == []
    assert found["ended with the same bits"] == sum(found["cases"].values()) == 4
    assert any("the disk is full" in said for said in found["said"])
