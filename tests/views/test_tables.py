"""Tables: the numbers given are the numbers shown, in HTML and in Markdown."""

import re
from dataclasses import replace
from html import unescape

import pytest

from attention_jax.analysis.significance import BleuTest
from attention_jax.analysis.variants import compare
from attention_jax.views import head_tables, numbers
from attention_jax.views.comparison_tables import (
    certainty,
    certainty_explanation,
    every_run,
    explanation,
    main_metrics,
    side_by_side,
)
from attention_jax.views.tables import Table, Text, html_table, markdown_table
from tests.views.made_up import HOSTILE, RECORDS, description, head, pruning, record


def cells(table):
    return [[one if isinstance(one, str) else one.text for one in row] for row in table.rows]


def from_html(text):
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", text, re.DOTALL)
    return [
        [unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in rows
    ]


def test_a_table_says_the_same_in_html_and_markdown():
    rows = [[Text("a", tag="best"), Text("1.5", "+0.5 [0, 1]", "clear better")], ["b", "2"]]
    table = Table("numbers", ["", "loss"], rows, frozenset({0}))
    found = html_table(table)
    assert from_html(found) == [["", "loss"], ["a best", "1.5+0.5[0, 1]"], ["b", "2"]]
    assert found.count("<tr class=best>") == 1 and 'class="difference clear better"' in found
    assert markdown_table(table).splitlines() == [
        "|  | loss |",
        "| --- | --- |",
        "| a (best) | 1.5<br>**+0.5 [0, 1]** |",
        "| b | 2 |",
    ]


def test_cells_are_escaped():
    rows = [[Text(HOSTILE, HOSTILE, "x", HOSTILE), Text(HOSTILE, bar=2.0)]]
    table = Table(HOSTILE, [HOSTILE, "x"], rows)
    found = html_table(table)
    assert "<script" not in found and "<img" not in found and "--part:100.0%" in found
    text = markdown_table(table)
    assert "<script" not in text and "<img" not in text
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines()} == {3}


def test_variants_side_by_side():
    comparison = compare(RECORDS)
    columns = main_metrics(comparison)
    names = ["test_loss", "test_exact", "test_bleu", "validation_loss"]
    assert [one.name for one in columns] == [*names, "tokens_per_second", "memory"]
    table = side_by_side(comparison, columns)
    assert cells(table)[0][:3] == ["1 head", "3", "0.1020 ± 0.0020"]
    assert cells(table)[1][:3] == ["2 heads", "3", "0.2040 ± 0.0040"]
    assert table.marked == {0} and "1 pair" not in explanation(comparison)
    found = comparison.rows[1].cells["test_loss"].difference
    assert found is not None and found.clear
    cell = table.rows[1][2]
    assert isinstance(cell, Text) and cell.look == "clear"
    assert cell.below == f"+0.1020 [{found.low:+.4f}, {found.high:+.4f}]"


def test_parameters_and_caches_are_shown_where_they_differ():
    records = [
        {**one, "parameters": 1000 * (1 + (one["variant"] != "1 head")), "cache_bytes": size}
        for one, size in zip(RECORDS, [4096] * 3 + [2048] * 3, strict=True)
    ]
    comparison = compare(records)
    table = side_by_side(comparison, main_metrics(comparison))
    assert table.columns[2] == "parameters" and cells(table)[1][2] == "2,000"
    assert "cache a sentence" in table.columns and "validation loss" not in table.columns
    assert cells(table)[0][table.columns.index("cache a sentence")] == "4 ± 0 KiB"
    same = compare([{**one, "cache_bytes": 4096} for one in RECORDS])
    assert "cache_bytes" not in [one.name for one in main_metrics(same)]


def test_a_single_variant_has_nothing_to_be_sure_of():
    comparison = compare(RECORDS[:3])
    assert certainty(comparison) is None
    assert "paired" not in explanation(comparison)
    assert side_by_side(comparison, main_metrics(comparison)).marked == set()


def test_how_sure_an_answer_is():
    comparison = compare(RECORDS)
    test = BleuTest("2 heads", "1 head", 42.0, 41.5, 41.9, 1.25, 0.0004, 0.06)
    table = certainty(comparison, [test])
    assert table is not None
    found = comparison.rows[1].cells["test_loss"].difference
    assert found is not None
    low, high = found.low, found.high
    seen = numbers.size(found.detectable, comparison.primary)
    assert cells(table) == [
        ["2 heads", "+0.1020", f"[{low:+.4f}, {high:+.4f}]", "yes", seen, "+0.50", "< 0.001",
         "0.060"]
    ]  # fmt: skip
    assert len(table.columns) == len(table.rows[0])
    assert "1 test (Holm)" in certainty_explanation(comparison, [test])
    assert "of 41.9 ± 1.2 BLEU" in markdown_table(table)
    clear = certainty(comparison, [replace(test, p_corrected=0.01)])
    assert clear is not None and "**a difference**" in markdown_table(clear)


def test_a_tested_variant_without_runs_and_a_run_without_a_test():
    records = [*RECORDS, *(record("4 heads", seed, 0.3 + 0.01 * seed) for seed in (0, 1))]
    tests = [BleuTest("2 heads", "1 head", 42.0, 41.5, 41.9, 1.25, 0.5, 0.5)]
    table = certainty(compare(records), tests)
    assert table is not None
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert cells(table)[1][-3:] == ["", "", ""]


def test_every_run_has_its_own_numbers():
    comparison = compare(RECORDS)
    found = cells(every_run(comparison, RECORDS))
    losses = [row[2] for row in found]
    assert losses == [f"{one['loss']:.4f}" for one in RECORDS]
    assert [row[:2] for row in found[:2]] == [["1 head", "0"], ["1 head", "1"]]


def test_the_map_of_heads_in_words():
    table = head_tables.map_of_words(description())
    assert table.columns == ["", "head 1", "head 2"]
    assert cells(table) == [
        ["encoder, layer 1", "previous +1.250", "−0.004"],
        ["encoder, layer 2", "broad +0.062", ""],
        ["decoder, layer 1", "", ""],
        ["decoder, layer 2", "", ""],
        ["cross, layer 1", "aligned +0.062", "–"],
        ["cross, layer 2", "", ""],
    ]


def test_every_head_in_numbers():
    table = head_tables.head_numbers(description())
    assert len(table.rows) == 5 and {len(row) for row in table.rows} == {len(table.columns)}
    found = dict(zip(table.columns, cells(table)[0], strict=True))
    assert found[""] == "encoder, layer 1, head 1" and found["does"] == "previous"
    assert found["loss without it"] == "1.250" and found["importance"] == "0.125"
    assert found["distance"] == "2.50" and found["to previous"] == "0.90"
    assert found["alignment error"] == "–"
    bare = head_tables.head_numbers({"heads": [{"part": "encoder", "layer": 0, "head": 0}]})
    assert bare.columns == ["", "does"]


def test_the_place_that_breaks_most_stands_out():
    table = head_tables.one_left(pruning())
    assert table is not None
    assert cells(table) == [
        ["encoder, layer 1", "head 2", "0.5625", "+0.0625", "29.0", "−1.0"],
        ["cross, layer 2", "head 1", "1.5000", "+1.0000", "–", "–"],
    ]
    assert table.marked == {1}
    assert "breaks most" in html_table(table) and "--part:6.2%" in html_table(table)


def test_of_one_place_the_best_head_is_shown():
    one = [
        {"part": "cross", "layer": 0, "head": at, "loss": loss, "score": None}
        for at, loss in enumerate((0.9, 0.7, None))
    ]
    table = head_tables.one_left(pruning(one_left=one, baseline={}))
    assert table is not None
    assert cells(table) == [["cross, layer 1", "head 2", "0.7000", "–"]]
    assert table.marked == set()


def test_before_and_after_removal():
    table = head_tables.removal(pruning())
    assert table is not None
    assert cells(table) == [
        ["before", "4", "2,000", "4.0 KiB", "1.00 MiB", "100", "0.5000", "30.0"],
        ["heads removed", "3", "1,500", "4.0 KiB", "1.00 MiB", "100", "0.5000", "28.5"],
    ]
    below = [one.below for one in table.rows[1] if isinstance(one, Text)]
    assert below == ["−25 %", "−25 %", "", "", "", "−1.5"]


def test_what_was_not_measured_is_a_dash():
    bare = {"what": "before", "heads": 2, "loss": None, "score": None}
    table = head_tables.removal(pruning(removed=[bare]))
    assert table is not None
    assert cells(table) == [["before", "2", "–", "–", "–", "–", "–", "–"]]
    for empty in ({}, {"one_left": [], "removed": None}):
        assert head_tables.one_left(empty) is None and head_tables.removal(empty) is None


@pytest.mark.parametrize(
    ("number", "digits", "sign", "wanted"),
    [
        (0.0004, 3, "+", "0.000"), (-0.0004, 3, "", "0.000"), (0.0625, 4, "+", "+0.0625"),
        (-1.5, 1, "+", "−1.5"), (None, 3, "", "–"), (float("nan"), 3, "", "–"),
        (1234.5, 1, "", "1,234.5"),
    ],
)  # fmt: skip
def test_numbers_are_short(number, digits, sign, wanted):
    assert numbers.compact(number, digits, sign) == wanted


def test_probabilities_never_become_zero():
    assert numbers.probability(0.00099) == "< 0.001" and numbers.probability(0.0125) == "0.013"


def test_a_lonely_head_is_a_table():
    assert cells(head_tables.map_of_words(description(head("encoder", 0, 0), similarity={}))) == [
        ["encoder, layer 1", "+0.062"]
    ]
