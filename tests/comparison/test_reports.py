"""From a command line to a report, and from finished runs to another report, on tiny models."""

import functools
import json
import shutil
import sys

import pytest

from attention_jax.comparison.command import main
from attention_jax.comparison.finished import report_on
from attention_jax.comparison.reporter import sample_translations, short_sentence, translations
from attention_jax.comparison.workers import Workers
from tests.comparison.grid import SENTENCE, SIZES, plan, variants
from tests.tiny_run import tiny


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    """(folder, what was printed) of a comparison from the command line."""
    out = tmp_path_factory.mktemp("comparison") / "out"
    words = ["--out", str(out), "--workers", "2", "--sentence", SENTENCE]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["experiments/heads.py", *words])
        main(variants, tiny(corpus), SIZES, option="heads", title="<Heads>", folder="nowhere")
    return out


def test_the_report_holds_every_run(finished):
    lines = (finished / "report" / "results.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    found = [(record["variant"], record["seed"]) for record in records]
    assert found == [("1 head", 0), ("2 heads", 0)]
    page = (finished / "report" / "index.html").read_text("utf-8")
    assert "&lt;Heads&gt;" in page and "<Heads>" not in page
    text = (finished / "report" / "report.md").read_text("utf-8")
    assert "Preliminary" not in text and "python experiments/heads.py --out" in text


def test_the_record_tells_what_decoding_costs(finished):
    record = json.loads((finished / "runs" / "1-head-s0" / "result.json").read_text())
    # Keys and values of 16 features, over 16 source and 8 target positions, in one layer.
    assert record["cache_bytes"] == 2 * 16 * (16 + 8) * 4
    tests = [record, record["test"]["test"]]
    seconds = sum(scores["translate_seconds"] for scores in tests)
    written = sum(scores["written"] for scores in tests)
    assert written >= sum(scores["pairs"] for scores in tests)  # an end mark each
    assert record["decode_tokens_per_second"] == pytest.approx(written / seconds)


def test_runs_of_a_seed_share_everything_but_the_heads(finished):
    names = ("1-head-s0", "2-heads-s0")
    lines = [(finished / "runs" / name / "metrics.jsonl").read_text() for name in names]
    first = [json.loads(text.splitlines()[0]) for text in lines]
    assert first[0]["step"] == first[1]["step"]
    configs = [json.loads((finished / "runs" / n / "config.json").read_text()) for n in names]
    for config in configs:
        del config["name"], config["model"]["heads"]
    assert configs[0] == configs[1]


def test_what_each_head_does_is_computed_once_and_kept(finished):
    for name, count in (("1-head-s0", 3), ("2-heads-s0", 6)):
        heads = json.loads((finished / "runs" / name / "heads.json").read_text())["heads"]
        assert len(heads) == count and all(head["loss_without"] is not None for head in heads)
    assert list((finished / "report").glob("*.png"))


def test_samples_are_the_same_test_sentences_for_all(finished):
    texts = {n: translations(finished / "runs" / f"{n}-s0") for n in ("1-head", "2-heads")}
    samples = sample_translations(texts, SENTENCE, most=4)
    sources = [[source for source, _, _ in samples[name]] for name in texts]
    assert sources[0] == sources[1] and len(set(sources[0])) == 4
    lines = [{"source": "a b c d e f g h"}, {"source": "a b"}]
    assert short_sentence(lines, words=3) == "a b"


def test_finished_runs_from_anywhere_are_compared(finished, tmp_path):
    folders = [finished / "runs" / name for name in ("2-heads-s0", "1-head-s0")]
    report = report_on(folders, tmp_path / "report", command="attention-jax compare", title="Both")
    lines = (tmp_path / "report" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["variant"] for line in lines] == ["2 heads", "1 head"]
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "attention-jax compare" in page and "Both" in report.text()
    # The folders hold heads.json; it is shown and not made again.
    assert (tmp_path / "report" / "heads.jsonl").exists()


def copy_of(run, folder, **changes):
    """A run's folder with other fields in its config."""
    shutil.copytree(run, folder)
    config = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        part, _, field = name.partition("_")
        config[part] = config[part] | {field: value} if field else value
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_runs_that_do_not_compare_are_refused(finished, tmp_path):
    one = finished / "runs" / "1-head-s0"
    refused = functools.partial(report_on, out=tmp_path / "report", command="")
    for changes, name in (
        ({"data_limit": 9}, "data.limit"),
        ({"decoding_beams": 2}, "decoding.beams"),
    ):
        other = copy_of(one, tmp_path / name, **changes)
        with pytest.raises(ValueError, match=f"{name} is .* in .*1-head-s0 and .*--anyway"):
            refused([one, other])
    again = copy_of(one, tmp_path / "again", name="another name")
    with pytest.raises(ValueError, match=r"1-head-s0 and .*again are .* \(1 head\) and seed \(0\)"):
        refused([one, again])
    with pytest.raises(ValueError, match="1 run to compare; two or more"):
        refused([one])
    (again / "result.json").unlink()
    with pytest.raises(ValueError, match="again is not finished: .* goes on with it"):
        refused([one, again])
    assert not (tmp_path / "report").exists()


def test_a_finished_comparison_is_not_run_again(finished, corpus):
    folder = finished / "runs" / "1-head-s0"
    before = (folder / "result.json").stat().st_mtime_ns
    places = {folder: plan(corpus).experiments[0]}
    with Workers(finished, 1) as workers:
        assert [found for found, _ in workers.run(places)] == [folder]
    assert (folder / "result.json").stat().st_mtime_ns == before
