import json
import os
import random

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest

from attention_jax.analysis.significance import paired_bleu, read_translations
from attention_jax.training.metrics import bleu

WORDS = ["the", "small", "house", "of", "my", "mother", "stands", "by", "a", "river", "sings"]


def sentences(count, seed):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(5, 9))) for _ in range(count)]


def worsened(texts, share, seed):
    rng = random.Random(seed)
    return [
        " ".join("wrong" if rng.random() < share else word for word in text.split())
        for text in texts
    ]


REFERENCES = sentences(80, 0)
TRANSLATIONS = {
    "good": worsened(REFERENCES, 0.05, 1),
    "base": worsened(REFERENCES, 0.15, 2),
    "like base": worsened(REFERENCES, 0.15, 3),
    "bad": worsened(REFERENCES, 0.3, 4),
}


@pytest.fixture(scope="module")
def found():
    tests = paired_bleu(TRANSLATIONS, REFERENCES, baseline="base", samples=300)
    return {test.variant: test for test in tests}


def test_the_numbers_are_those_of_sacrebleu(found, monkeypatch):
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    order = ["base", "good", "like base", "bad"]
    systems = [(variant, TRANSLATIONS[variant]) for variant in order]
    paired = PairedTest(systems, {"BLEU": BLEU()}, [REFERENCES], test_type="bs", n_samples=300)
    own, *wanted = paired()[1]["BLEU"]
    assert list(found) == order[1:]
    for variant, result in zip(order[1:], wanted, strict=True):
        test = found[variant]
        assert (test.variant, test.baseline, test.baseline_bleu) == (variant, "base", own.score)
        assert (test.bleu, test.p_value) == (result.score, result.p_value)
        assert (test.mean, test.reach) == (result.mean, result.ci)
        assert test.bleu == pytest.approx(bleu(TRANSLATIONS[variant], REFERENCES)["score"])


def test_what_is_better_or_worse_is_found_and_what_is_alike_is_not(found):
    assert found["good"].bleu > found["good"].baseline_bleu > found["bad"].bleu
    assert found["good"].p_corrected < 0.05 and found["bad"].p_corrected < 0.05
    assert found["like base"].p_corrected > 0.05


def test_p_values_are_doubled_then_corrected_for_all_tests(found):
    assert found["good"].p_value == found["bad"].p_value == pytest.approx(1 / 301)
    assert found["good"].p_corrected == pytest.approx(3 * 2 / 301)
    assert found["bad"].p_corrected == pytest.approx(3 * 2 / 301)
    alike = found["like base"]
    assert alike.p_corrected == pytest.approx(min(1, 2 * alike.p_value))


def test_equal_scores_are_no_difference():
    # sacreBLEU itself says p = 1 / (samples + 1).
    both = {"a": TRANSLATIONS["good"], "b": list(TRANSLATIONS["good"])}
    (test,) = paired_bleu(both, REFERENCES, baseline="a", samples=20)
    assert (test.p_value, test.p_corrected) == (1.0, 1.0)
    assert test.bleu == test.baseline_bleu


def test_equally_bad_translations_seldom_look_different():
    wrong = 0
    for trial in range(60):
        both = {name: worsened(REFERENCES, 0.15, f"{trial}{name}") for name in "ab"}
        (test,) = paired_bleu(both, REFERENCES, baseline="a", samples=100)
        wrong += test.p_corrected < 0.05
    assert wrong <= 8  # 3 of 60 are promised


def test_the_seed_draws_other_sentences_and_leaves_the_environment(monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    some = {"base": TRANSLATIONS["base"], "good": TRANSLATIONS["good"]}
    means = [
        paired_bleu(some, REFERENCES, baseline="base", samples=50, seed=seed)[0].mean
        for seed in (1, 1, 2)
    ]
    assert means[0] == means[1] != means[2]
    assert os.environ["SACREBLEU_SEED"] == "7"


def test_a_baseline_alone_needs_no_test():
    assert paired_bleu({"a": REFERENCES}, REFERENCES, baseline="a") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"baseline": "none"}, "found baseline='none'; one of good, base, like base, bad"),
        ({"references": REFERENCES[1:]}, "found 80 translations of 'good' and 79 references"),
        ({"references": [], "translations": {"base": []}}, "found 0 translations of 'base'"),
        ({"samples": 0}, "found samples=0; one or more"),
        ({"seed": 0}, "found seed=0; one or more"),
        ({"tokenize": "words"}, "found tokenize='words'; one of .*13a"),
    ],
)
def test_what_cannot_be_tested_is_refused(options, words):
    fitting = {"translations": TRANSLATIONS, "references": REFERENCES, "baseline": "base"}
    with pytest.raises(ValueError, match=words):
        paired_bleu(**(fitting | options))


def write(folder, lines):
    folder.mkdir()
    names = ("split", "source", "reference", "translation")
    text = "\n".join(json.dumps(dict(zip(names, line, strict=True))) for line in lines)
    (folder / "translations.jsonl").write_text(text + "\n", "utf-8")
    return folder


def test_translations_of_runs_are_read_by_variant(tmp_path):
    one = write(tmp_path / "1", [("validation", "x", "y", "z"), ("test", "a", "é", "e")])
    two = write(tmp_path / "2", [("validation", "x", "y", "y"), ("test", "a", "é", "é")])
    found, references = read_translations({"1 head": one, "2 heads": str(two)})
    assert (found, references) == ({"1 head": ["e"], "2 heads": ["é"]}, ["é"])
    found, _ = read_translations({"1 head": one, "2 heads": two}, split="validation")
    assert found == {"1 head": ["z"], "2 heads": ["y"]}


def test_runs_with_other_sentences_are_refused(tmp_path):
    one = write(tmp_path / "1", [("test", "a", "b", "b")])
    other = write(tmp_path / "2", [("test", "a", "c", "b")])
    with pytest.raises(ValueError, match="other sentences in the split 'test' of 'two' than of"):
        read_translations({"one": one, "two": other})
    with pytest.raises(ValueError, match="no translations of the split 'test_long'"):
        read_translations({"one": one}, split="test_long")
    with pytest.raises(ValueError, match="no translations of the split 'test'"):
        read_translations({"one": tmp_path})
    with pytest.raises(ValueError, match="found no folders"):
        read_translations({})
