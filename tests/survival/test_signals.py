import pytest

from experiments.benchmarks.survival import signals


@pytest.mark.slow
@pytest.mark.exhaustive
def test_asked_to_stop_runs_save_leave_soon_and_end_with_the_same_bits(tmp_path):
    found = signals.check(tmp_path, count=2, seed=0)
    assert found["broken"] == []
    assert found["ended with the same bits"] == 2
    codes = found["exit codes"]
    assert codes["SIGTERM: 75"] == codes["SIGINT: 75"] == codes["rival: 2"] == 1
    assert set(found["seconds to leave"]) == {"early", "SIGTERM", "SIGINT", "twice", "rival"}
    assert all(found["seconds to leave"][kind]["most"] < 10 for kind in ("SIGTERM", "SIGINT"))
