import json
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from attention_jax.analysis.significance import BleuTest
from attention_jax.views import figure
from attention_jax.views.pictures import slugs
from attention_jax.views.report import write_report
from tests.views.made_up import HOSTILE, PLAN, RECORDS, description, head, pruning

WORDS = {"title": "Heads", "command": "make heads", "environment": {"jax": "0.0", "device": "cpu"}}


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Pictures of few dots are drawn in less time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure, "DOTS", 40)
        yield


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
        "2 heads": {
            "source_tokens": tokens, "target_tokens": tokens, "encoder": weights, "cross": weights,
        }
    }  # fmt: skip
    found = write_report(
        folder,
        RECORDS,
        {("1 head", 0): [(1, 2.0), (2, 1.0)]},
        attention,
        **{**WORDS, "title": HOSTILE, "environment": {HOSTILE: {"deep": [HOSTILE]}}},
        notes=[HOSTILE],
        samples={
            "1 head": [(HOSTILE, "a b c", "a x c")],
            "2 heads": [(HOSTILE, "a b c", "a b c"), ("s", "r", "")],
        },
        expected=PLAN,
        heads={"1 head": description(name=HOSTILE), "2 heads": {"heads": []}},
        pruning={"1 head": pruning(name=HOSTILE)},
        significance=[BleuTest("2 heads", "1 head", 42.0, 41.5, 41.9, 1.2, 0.0004, 0.0008)],
    )
    assert found == folder
    return folder


def test_the_folder_holds_page_tables_results_and_pictures(full):
    names = {path.name for path in full.iterdir()}
    assert {"index.html", "report.md", "results.jsonl", "heads.jsonl", "pruning.json"} <= names
    pictures = {name.removesuffix(".png") for name in names if name.endswith(".png")}
    assert pictures == {
        "test-loss", "differences", "test-bleu", "learning-curves",
        "head-map-1-head", "head-statistics-1-head", "pruning-1-head-loss", "pruning-1-head-score",
        "pruning-1-head-parts-greedy", "attention-2-heads-encoder", "attention-2-heads-cross",
    }  # fmt: skip
    assert json_lines(full / "results.jsonl") == RECORDS
    assert [path.name for path in full.parent.iterdir()] == ["heads"]


def test_heads_and_pruning_are_handed_on_as_data(full):
    lines = json_lines(full / "heads.jsonl")
    assert len(lines) == 5
    for line, one in zip(lines, description()["heads"], strict=True):
        assert line == {"variant": "1 head", "name": HOSTILE, **one}
    found = json.loads((full / "pruning.json").read_text("utf-8"))
    assert found == {"1 head": pruning(name=HOSTILE)}


def json_lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_page_needs_nothing_else(full):
    text = (full / "index.html").read_text("utf-8")
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text and "url(" not in text and "@import" not in text
    for tag, attributes in Reader(text).tags:
        assert tag not in ("script", "iframe", "object", "base")
        for name in ("src", "srcset", "href"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))


def test_links_lead_to_the_sections(full):
    tags = Reader((full / "index.html").read_text("utf-8")).tags
    links = [found["href"] for tag, found in tags if tag == "a"]
    assert links == [f"#{found['id']}" for tag, found in tags if tag == "section"]
    assert links == [
        "#table", "#plots", "#heads", "#pruning", "#attention", "#translations", "#method",
        "#caveats",
    ]  # fmt: skip


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
    assert len(pictures) == 11
    assert all(picture["alt"] and int(picture["width"]) for picture in pictures)
    dark = [attributes for tag, attributes in tags if tag == "source"]
    assert [each["media"] for each in dark] == ["(prefers-color-scheme: dark)"] * 11
    assert any("learning curves" in picture["alt"].lower() for picture in pictures)


def test_the_page_begins_with_the_verdict(full):
    text = (full / "index.html").read_text("utf-8")
    order = ("1 head did best", "<table>", "<figure>", "<h2>Caveats")
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "1 head did best" in (full / "report.md").read_text("utf-8")


def test_translations_are_marked(full):
    text = (full / "index.html").read_text("utf-8")
    assert "a <mark>x</mark> c" in text
    assert 'a b c <span class="equal">✓ equal</span>' in text
    assert "(empty)" in text


def test_the_report_in_markdown(full):
    text = (full / "report.md").read_text("utf-8")
    lines = text.splitlines()
    table = [line for line in lines[: lines.index("## What each head does")] if line[:1] == "|"]
    assert table[0].startswith("|  | seeds | test loss | test exact match | test BLEU |")
    assert table[2].startswith("| 1 head (best mean) | 3 | 0.1020 ± 0.0020 |")
    assert "**+0.1020 [" in table[3]
    assert len({line.count("|") for line in table[:4]}) == 1
    assert "| encoder, layer 1 | previous +1.250 | −0.004 |" in lines
    assert "| cross, layer 2 (breaks most) | head 1 | 1.5000 | +1.0000 | – | – |" in lines
    assert "| heads removed | 3<br>−25 % | 1,500<br>−25 % |" in text
    pictures = {line[line.rindex("(") + 1 : -1] for line in lines if line.startswith("![")}
    assert pictures == {path.name for path in full.glob("*.png")}
    # The short form, for a terminal, is all above the first section.
    assert "Command: `make heads`" in text.split("\n## ")[0]


def test_numbers_on_the_page_are_those_given(full):
    text = (full / "index.html").read_text("utf-8")
    for one in RECORDS:
        assert f"<td>{one['loss']:.4f}</td>" in text
    assert "<td>1.250</td>" in text and "<td>−0.004</td>" in text
    assert 'style="--part:100.0%">+1.0000</td>' in text
    assert "Measured: run &lt;script&gt;" in text and "1,234 sentences" in text
    assert "after 56 steps" in text and "0.125 of the best head (cross, layer 1, head 1)" in text
    assert "&lt; 0.001" in text


def test_the_best_variant_stands_open(full):
    text = (full / "index.html").read_text("utf-8")
    heads = text[text.index('id="heads"') : text.index('id="attention"')]
    assert heads.count("<details open><summary>1 head</summary>") == 2


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
    records = [RECORDS[0], {**RECORDS[3], "parameters": 999}]
    write_report(tmp_path / "r", records, {}, {}, **WORDS)
    text = (tmp_path / "r" / "report.md").read_text("utf-8")
    assert "do not have equal parameters (999, 1,000)" in text
    assert "number of parameters, optimizer" not in text


def test_variants_come_in_the_order_given(tmp_path):
    names = ["wide", "Narrow", "../../etc"]
    records = [{**RECORDS[0], "variant": name} for name in reversed(names)]
    heads = {name: description(head("encoder", 0, 0)) for name in names}
    write_report(
        tmp_path / "r", records, {}, {}, **WORDS, heads=heads, expected=[(n, 0) for n in names]
    )
    found = [line["variant"] for line in json_lines(tmp_path / "r" / "results.jsonl")]
    assert found == names
    assert [line["variant"] for line in json_lines(tmp_path / "r" / "heads.jsonl")] == names
    maps = {path.name for path in (tmp_path / "r").glob("head-map-*")}
    assert maps == {"head-map-wide.png", "head-map-narrow.png", "head-map-etc.png"}
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_variants_of_one_file_name_stay_apart():
    assert slugs(["A b", "a-b", "a/b", "", "é"]) == {
        "A b": "a-b", "a-b": "a-b-2", "a/b": "a-b-3", "": "variant", "é": "variant-2",
    }  # fmt: skip


@pytest.mark.parametrize(
    "bare",
    [
        {"heads": {}, "pruning": {}},
        {"heads": {"1 head": {}}, "pruning": {"1 head": {}}},
        {"heads": {"1 head": {"heads": [], "similarity": {"encoder": [[]]}}}},
    ],
)
def test_what_is_not_there_has_no_section(tmp_path, bare):
    write_report(tmp_path / "r", RECORDS[:1], {}, {}, **WORDS, **bare)
    text = (tmp_path / "r" / "index.html").read_text("utf-8")
    assert 'id="heads"' not in text and 'id="pruning"' not in text
    assert "each head does" not in (tmp_path / "r" / "report.md").read_text("utf-8")


def test_heads_of_nulls_and_numpy_are_shown(tmp_path):
    found = head("cross", 0, 0, loss_without=np.float32("nan"), importance=np.float32(0.5))
    nothing = {name: None for name in found if name not in ("part", "layer", "head")}
    heads = {"1 head": description(found, {**found, **nothing, "head": 1})}
    curves = {"greedy": [{"left": 2, "loss": None, "score": None}]}
    bare = {"curves": curves, "one_left": None, "removed": [{"what": "odd"}], "baseline": None}
    write_report(tmp_path / "r", RECORDS, {}, {}, **WORDS, heads=heads, pruning={"1 head": bare})
    first, second = json_lines(tmp_path / "r" / "heads.jsonl")
    assert first["loss_without"] is None and first["importance"] == 0.5
    assert second["entropy"] is None
    assert "importance (gradient" in (tmp_path / "r" / "report.md").read_text("utf-8")
    assert Reader((tmp_path / "r" / "index.html").read_text("utf-8")).open == []


def test_importing_costs_no_matplotlib():
    code = (
        "import sys, attention_jax.views.report, attention_jax.analysis.verdict;"
        "print(*sorted({'matplotlib', 'scipy.stats'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
