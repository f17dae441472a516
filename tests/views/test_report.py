import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from attention_jax.views import report
from attention_jax.views.report import write_report

PLAN = [(heads, seed) for heads in (1, 2) for seed in (0, 1, 2)]
HOSTILE = "<script>alert('x')</script> & \"quoted\" | `code` <img src=x onerror=y>"


def record(heads, seed, loss):
    scores = {"loss": loss, "exact_match": 0.5, "bleu": {"score": 40.0 + heads}}
    return {
        "name": f"h{heads}s{seed}", "heads": heads, "seed": seed, "parameters": 1000, "steps": 10,
        **scores, "test": {"test": scores}, "tokens_per_second": 5000.0, "memory_bytes": 2**30,
    }  # fmt: skip


RECORDS = [record(heads, seed, 0.1 * heads + 0.002 * seed * heads) for heads, seed in PLAN]
WORDS = {"title": "Heads", "command": "make heads", "environment": {"jax": "0.0", "device": "cpu"}}


class Reader(HTMLParser):
    """Collects tags and attributes, and checks that every tag is closed by its own."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "source", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    tokens = ["a", "b", HOSTILE]
    weights = np.full((1, 2, 3, 3), 1 / 3)
    folder = tmp_path_factory.mktemp("reports") / "heads"
    attention = {
        2: {"source_tokens": tokens, "target_tokens": tokens, "encoder": weights, "cross": weights}
    }
    found = write_report(
        folder,
        RECORDS,
        {(1, 0): [(1, 2.0), (2, 1.0)]},
        attention,
        **{**WORDS, "title": HOSTILE, "environment": {HOSTILE: {"deep": [HOSTILE]}}},
        notes=[HOSTILE],
        samples={
            1: [(HOSTILE, "a b c", "a x c")],
            2: [(HOSTILE, "a b c", "a b c"), ("s", "r", "")],
        },
        expected=PLAN,
    )
    assert found == folder
    return folder


def test_the_folder_holds_page_table_results_and_pictures(full):
    names = {path.name for path in full.iterdir()}
    assert {"index.html", "report.md", "results.jsonl", "test-loss.png", "differences.png"} <= names
    assert {"attention-2-heads-encoder.png", "attention-2-heads-cross.png"} <= names
    lines = [json.loads(line) for line in (full / "results.jsonl").read_text().splitlines()]
    assert lines == RECORDS
    assert [path.name for path in full.parent.iterdir()] == ["heads"]


def test_the_page_needs_nothing_else(full):
    text = (full / "index.html").read_text("utf-8")
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text and "url(" not in text and "@import" not in text
    for tag, attributes in Reader(text).tags:
        assert tag not in ("script", "iframe", "object", "base")
        for name in ("src", "srcset", "href"):
            assert attributes.get(name, "data:").startswith("data:")


def test_what_comes_from_data_is_escaped(full):
    reader = Reader((full / "index.html").read_text("utf-8"))
    assert reader.open == []
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert all(a.get("src") != "x" for _, a in reader.tags)
    table = (full / "report.md").read_text("utf-8")
    assert "<script" not in table and "<img" not in table


def test_pictures_have_words_and_follow_the_page(full):
    tags = Reader((full / "index.html").read_text("utf-8")).tags
    pictures = [attributes for tag, attributes in tags if tag == "img"]
    assert len(pictures) == 6
    assert all(picture["alt"] and int(picture["width"]) for picture in pictures)
    dark = [attributes for tag, attributes in tags if tag == "source"]
    assert [each["media"] for each in dark] == ["(prefers-color-scheme: dark)"] * 6
    assert any("learning curves" in picture["alt"].lower() for picture in pictures)


def test_the_page_begins_with_the_verdict(full):
    text = (full / "index.html").read_text("utf-8")
    places = [text.index(words) for words in ("1 head is best", "<table>", "<figure>", "Caveats")]
    assert places == sorted(places)
    assert "1 head is best" in (full / "report.md").read_text("utf-8")


def test_translations_are_marked(full):
    text = (full / "index.html").read_text("utf-8")
    assert "a <mark>x</mark> c" in text
    assert 'a b c <span class="equal">✓ equal</span>' in text
    assert "(empty)" in text


def test_the_table_in_markdown(full):
    lines = (full / "report.md").read_text("utf-8").splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert table[0].startswith("| heads | seeds | test loss | test exact match | test BLEU |")
    assert table[2].startswith("| 1 | 3 | 0.1020 ± 0.0020 |")
    assert "**+0.1020 [" in table[3]
    assert len({line.count("|") for line in table}) == 1


def test_a_first_report_after_one_run(tmp_path):
    odd = {**RECORDS[0], "loss": np.float32("nan"), "steps": np.int64(7)}
    write_report(tmp_path / "r", [odd], {}, {}, **WORDS, expected=PLAN)
    text = (tmp_path / "r" / "index.html").read_text("utf-8")
    assert "Preliminary, 1 of 6 runs finished." in text
    assert "Missing runs: 1 head seed 1, 1 head seed 2, 2 heads seed 0" in text
    assert "±" not in text[text.index("<table>") : text.index("</table>")]
    line = json.loads((tmp_path / "r" / "results.jsonl").read_text())
    assert line["loss"] is None and line["steps"] == 7


def test_a_report_without_any_run(tmp_path):
    write_report(tmp_path / "r", [], {}, {}, **WORDS, expected=PLAN)
    assert "There is nothing to compare yet." in (tmp_path / "r" / "report.md").read_text("utf-8")
    assert (tmp_path / "r" / "results.jsonl").read_text() == ""


def test_unequal_runs_are_a_caveat(tmp_path):
    records = [RECORDS[0], {**RECORDS[1], "parameters": 999}]
    write_report(tmp_path / "r", records, {}, {}, **WORDS)
    text = (tmp_path / "r" / "report.md").read_text("utf-8")
    assert "do not have equal parameters (999, 1,000)" in text


def test_an_earlier_report_is_replaced_whole(tmp_path):
    folder = tmp_path / "r"
    write_report(folder, [], {(1, 0): [(1, 2.0)]}, {}, **WORDS)
    assert (folder / "learning-curves.png").exists()
    write_report(folder, [RECORDS[0]], {}, {}, **WORDS)
    assert {path.name for path in folder.iterdir()} == {"index.html", "report.md", "results.jsonl"}
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("when", ["writing", "moving"])
def test_a_report_that_fails_leaves_the_earlier_one(tmp_path, monkeypatch, when):
    folder = tmp_path / "r"
    write_report(folder, [], {}, {}, **WORDS)
    before = (folder / "index.html").read_bytes()

    def fail(*_):
        raise OSError("disk full")

    if when == "writing":
        monkeypatch.setattr(report, "markdown", fail)
    else:
        rename = Path.rename
        monkeypatch.setattr(
            Path, "rename", lambda s, t: fail() if s.name == "made" else rename(s, t)
        )
    with pytest.raises(OSError, match="disk full"):
        write_report(folder, [RECORDS[0]], {}, {}, **WORDS)
    assert (folder / "index.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "holiday.png").write_bytes(b"")
    with pytest.raises(ValueError, match="found holiday.png"):
        write_report(tmp_path, [], {}, {}, **WORDS)
    with pytest.raises(ValueError, match="found a file"):
        write_report(tmp_path / "holiday.png", [], {}, {}, **WORDS)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.png"]


def test_importing_costs_no_matplotlib():
    code = (
        "import sys, attention_jax.views.report, attention_jax.analysis.verdict;"
        "print(*sorted({'matplotlib', 'scipy.stats'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
