import pytest

from experiments.benchmarks.survival import flips


@pytest.mark.slow
@pytest.mark.exhaustive
def test_no_flipped_bit_changes_a_value_in_silence(tmp_path):
    found = flips.check(tmp_path, count=60, seed=0)
    assert found["broken"] == []
    assert found["fates"]["refused"] > 0 and found["trained to the end"] >= 2
    assert sum(found["fates"].values()) == found["flips"] == 60
    # Each sort of file is among them, and what the manifest says is believed of no changed one.
    kinds = {kind.partition(":")[0] for kind in found["fates by file"]}
    assert {"manifest/data.json", "state/d/*", "state/_METADATA", "commit_success.txt"} <= kinds
    assert "manifest/data.json: all values as they were" not in found["fates by file"]
