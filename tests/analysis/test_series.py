"""Records as lines and tables."""

import json

from attention_jax.analysis.series import series, table, write

RECORDS = [
    {"model": "one", "length": 8, "loss": 1.0},
    {"model": "one", "length": 8, "loss": 3.0},
    {"model": "one", "length": 4, "loss": 5.0},
    {"model": "other", "length": 4, "loss": None},
    {"model": "other", "length": 8, "loss": 20.0},
    {"model": "other", "length": 8},
]


def test_lines_are_means_between_the_smallest_and_the_largest():
    found = series(RECORDS, "model", "length", "loss")
    assert found["one"] == ([4, 8], [5.0, 2.0], [5.0, 1.0], [5.0, 3.0])
    assert found["other"] == ([8], [20.0], [20.0], [20.0])


def test_tables_have_a_cell_for_each_and_leave_out_what_there_is_not():
    assert table(RECORDS, "model", "length", "loss").splitlines() == [
        "| model, length | 4 | 8 |",
        "| --- | --- | --- |",
        "| one | 5 | 2 (1 to 3) |",
        "| other |  | 20 |",
    ]


def test_records_pictures_and_tables_are_written(tmp_path):
    quantities = {"loss": "test loss", "time": "never taken"}
    text = write(RECORDS, "model", "length", quantities, tmp_path / "out")
    assert text.startswith(f"test loss\n\n{table(RECORDS, 'model', 'length', 'loss')}\n\nnever")
    assert not (tmp_path / "out/time.png").exists()
    assert json.loads((tmp_path / "out/records.json").read_text("utf-8")) == RECORDS
    assert (tmp_path / "out/loss.png").stat().st_size > 5_000
