"""Many runs side by side, from a base and a command line to a report, on the smallest models."""

import functools
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from attention_jax import comparison
from attention_jax.comparison import Size, lasting, main, planned
from attention_jax.finished import report_on
from attention_jax.labels import confounds, labels
from attention_jax.reporter import sample_translations, short_sentence, translations
from attention_jax.sizes import matched, parameters
from attention_jax.training.allocator import WARM, warmed
from attention_jax.workers import Workers, default_workers
from tests.tiny_run import tiny, write_corpus

SENTENCE = "the red cat"
ROOT = Path(__file__).parents[1]
SIZES = {"default": Size(6, values=(1, 2), seeds=1), "smoke": Size(2, values=(2,), seeds=1)}
EXPERIMENTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))
GRIDS = [
    name
    for name in EXPERIMENTS
    if "comparison import" in (ROOT / f"experiments/{name}.py").read_text()
]


def variants(base, heads):
    return [replace(base, model=replace(base.model, heads=count)) for count in heads]


def plan(corpus, *words, option="heads", sizes=SIZES, build=variants):
    words = list(map(str, words))
    return planned(build, tiny(corpus), sizes, words, program="x", option=option, sentence=SENTENCE)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


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


def test_every_field_is_an_option_and_the_rest_follows(corpus):
    words = ["--training.steps", 400, "--data.max-length", 12, "--model.width", 32, "--heads", 4, 1]
    found = plan(corpus, *words, "--seeds", 2)
    assert [one.name for one in found.experiments] == [
        "4-heads-s0",
        "1-head-s0",
        "4-heads-s1",
        "1-head-s1",
    ]
    one = found.experiments[-1]
    assert (one.seed, one.model.heads, one.model.width) == (1, 1, 32)
    assert (one.training.steps, one.training.evaluate_every, one.decoding.max_length) == (
        400,
        50,
        12,
    )
    # What is given is never changed.
    one = plan(
        corpus, *words, "--training.evaluate-every", 7, "--decoding.max-length", 9
    ).experiments[0]
    assert (one.training.evaluate_every, one.decoding.max_length) == (7, 9)


def test_sizes_seeds_and_sentences(corpus, tmp_path):
    found = plan(corpus, "--smoke", "--seeds", 3, 1)
    assert found.size == "smoke" and found.sentence == SENTENCE
    assert [(one.seed, one.training.steps) for one in found.experiments] == [(3, 2), (1, 2)]
    assert plan(corpus, "--smoke", "--training.steps", 6).experiments[0].training.steps == 6
    # Of another text the base's sentence is none.
    assert plan(corpus, "--data.corpus", write_corpus(tmp_path / "mine")).sentence is None
    assert plan(corpus, "--data.corpus", "x", "--sentence", "mine").sentence == "mine"
    assert plan(corpus, "--model.preset", "base").experiments[0].model.width == 512


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--heads", "3"),
            "heads is 3, which does not divide width, 16; head counts that fit: 1, 2",
        ),
        (("--model.heads", "4"), "--model.heads is what the variants differ in; --heads would fit"),
        (("--seeds", "0"), "seeds is 0; 3, or 0 1 2, would fit"),
        (("--seeds", "-1", "2"), "seeds is -1 2; 3, or 0 1 2, would fit"),
        (("--heads",), "heads is empty; 1 2 would fit"),
        (("--model.widht", "32"), "perhaps you meant --model.width"),
        (("--smoke", "--default"), "both --default and --smoke; one of them would fit"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(corpus, words, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["heads.py", *words])
    with pytest.raises(SystemExit) as ended:
        main(variants, tiny(corpus), SIZES, option="heads", title="", folder="nowhere")
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.count("\n") == 1 and said in told


def test_proportions_of_a_longer_training(corpus):
    training = lasting(tiny(corpus).training, 10_000)
    assert (training.evaluate_every, training.log_every) == (1_250, 500)
    assert (training.checkpoint_every, training.optimizer.warmup) == (2_000, 10)


@pytest.mark.parametrize("name", GRIDS)
def test_experiments_are_short_and_their_grids_can_be_built(name):
    path = ROOT / "experiments" / f"{name}.py"
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 80
    for part in ("Question:", "Source:", "Command:"):
        assert part in text
    module = importlib.import_module(f"experiments.{name}")
    base = getattr(module, "BASE", comparison.SMALL)
    option = re.findall(r'option="(\w+)"', text)[0]
    for words in ([], ["--smoke"], ["--full"]):
        found = planned(module.variants, base, module.SIZES, words, program=name, option=option)
        size = module.SIZES[found.size]
        assert len(found.experiments) == len(size.values) * size.seeds
        assert len(set(labels(found.experiments))) == len(size.values)
    smoke = planned(module.variants, base, module.SIZES, ["--smoke"], program=name, option=option)
    assert all(one.training.steps <= 8 for one in smoke.experiments)


def test_all_comparisons_are_tested():
    wanted = {"head_counts", "head_sizes", "matched_parameters", "key_value_heads", "one_long_head"}
    assert wanted <= set(GRIDS)


def test_parameters_match():
    base = comparison.SMALL.model
    many, one = replace(base, heads=8, head_size=16), replace(base, heads=1, head_size=16)
    found = matched(one, many)
    assert found == replace(one, feed_forward=found.feed_forward)
    for vocabulary in (1, 1_500):
        counts = [parameters(replace(model, vocabulary=vocabulary)) for model in (found, many)]
        assert abs(counts[0] - counts[1]) < 0.005 * counts[1]
    with pytest.raises(ValueError, match="no feed_forward gives 8 heads .* a larger base"):
        matched(replace(many, head_size=64), one)


def test_labels_name_what_differs(corpus):
    base = tiny(corpus)

    def said(*models, data=base.data):
        return labels(
            [replace(base, data=data, model=replace(base.model, **one)) for one in models]
        )

    assert said({"heads": 1}, {"heads": 4}, {"heads": 4}) == ["1 head", "4 heads", "4 heads"]
    assert said({"heads": 2}) == ["2 heads"]
    groups = [{"heads": 4, "key_value_heads": count} for count in (None, 1)]
    assert said(*groups) == ["4 key/value heads", "1 key/value head"]
    several = [{"heads": h, "head_size": k} for h in (1, 4) for k in (8, 16)]
    assert said(*several) == ["1 head of 8", "1 head of 16", "4 heads of 8", "4 heads of 16"]
    assert said({"width": 8}, {"width": 16, "dropout": 0.5}) == ["width 8", "width 16"]
    both = [{"width": w, "dropout": d} for w in (8, 16) for d in (0.0, 0.5)]
    assert said(*both)[1] == "width 8, dropout 0.5"


def test_labels_tell_pruned_runs_apart(corpus):
    base = tiny(corpus)
    one = replace(base.model, decoder_layers=2)
    models = [one, replace(one, encoder_heads=(1,)), replace(one, cross_heads=(0, 1))]
    runs = [replace(base, model=model) for model in models]
    assert labels(runs) == ["all 10 heads", "9 of 10 heads left", "7 of 10 heads left"]
    assert confounds(runs) == []
    runs.append(replace(base, model=replace(one, decoder_heads=(2, 1))))
    assert labels(runs)[1::2] == [
        "9 of 10 heads left, encoder_heads 1",
        "9 of 10 heads left, encoder_heads None",
    ]


def test_what_labels_do_not_say_is_said_apart(corpus):
    base = tiny(corpus)
    runs = [
        replace(base, model=replace(base.model, heads=h, feed_forward=f))
        for h, f in [(1, 40), (2, 32)]
    ]
    assert labels(runs) == ["1 head", "2 heads"]
    assert confounds(runs) == ["Variants differ in model.feed_forward too: 40, 32."]
    moved = replace(base, seed=9, name="x", data=replace(base.data, cache=Path("elsewhere")))
    assert labels([base, moved]) == ["2 heads"] * 2 and confounds([base, moved]) == []


def test_a_failing_run_is_named(tmp_path):
    experiment = tiny(tmp_path / "nowhere")
    places = {tmp_path / "out" / "runs" / "h1-s0": experiment}
    with (
        pytest.raises(ValueError, match="h1-s0: .*nowhere"),
        Workers(tmp_path / "out", 1) as workers,
    ):
        list(workers.run(places))


def test_seeds_of_a_variant_share_a_worker_unless_one_would_idle(corpus, tmp_path, monkeypatch):
    shares = {}
    monkeypatch.setattr(
        Workers, "_start", lambda self, index, mine: shares.update({index: len(mine)})
    )
    one = tiny(corpus)
    for heads, wanted in (((1, 2), {0: 2, 1: 2}), ((1,), {0: 1, 1: 1})):
        runs = [replace(v, seed=seed) for seed in (0, 1) for v in variants(one, heads)]
        places = {tmp_path / str(number): run for number, run in enumerate(runs)}
        workers = Workers(tmp_path, 2)
        workers.answers.put((0, json.dumps({"folder": "x", "error": "enough"})))
        with pytest.raises(ValueError, match="x: enough"):
            list(workers.run(places))
        assert shares == wanted


def test_workers_end_with_their_parent():
    script = (
        "import sys, time, threading, attention_jax.workers as w; "
        "threading.Thread(target=w._end_with_parent, daemon=True).start(); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, cwd=ROOT)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=30) == 1


def test_one_worker_for_a_core_unless_told():
    assert 1 <= default_workers() <= 8


def test_warm_environment_keeps_what_is_set(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "3")
    found = warmed()
    assert found["MALLOC_ARENA_MAX"] == "3"
    assert set(WARM) <= set(found) and found["PATH"] == os.environ["PATH"]


@pytest.mark.slow
@pytest.mark.parametrize("name", GRIDS)
def test_smoke(name, tmp_path):
    environment = {**os.environ, "ATTENTION_JAX_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", f"experiments.{name}", "--smoke", "--out", tmp_path / "o"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o" / "report" / "index.html").exists()
