"""BLEU by length: sacreBLEU's own number in each bin, and intervals that hold what they should."""

import json
import random

import numpy as np
import pytest

from attention_jax.analysis.by_length import (
    Lines,
    by_length,
    curves,
    ends_of,
    lengths_of,
    of_runs,
    read_lines,
    table,
)
from attention_jax.analysis.statistics import paired_difference
from attention_jax.training.metrics import bleu, exact_match

WORDS = ["the", "a", "red", "big", "cat", "dog", "house", "sees", "likes", "has", "on", "it"]


def made_up(count=60, seed=0):
    """Sentences of 1 to 12 words; translations lose a word in ten, and so more in long ones."""
    chance = random.Random(seed)
    sources = [" ".join(random.Random(n).choices(WORDS, k=1 + n % 12)) for n in range(count)]
    references = [source.upper() for source in sources]
    translations = [
        " ".join(word if chance.random() < 0.9 else "?" for word in line.split())
        for line in references
    ]
    return Lines(sources, references, translations)


@pytest.fixture(scope="module")
def runs():
    return {seed: made_up(seed=seed) for seed in (3, 5, 8)}


def test_each_bin_has_sacrebleus_score(runs):
    found = by_length(runs, [2, 6, 12], tokenize="none", samples=20)
    assert [(one.shortest, one.longest) for one in found] == [(1, 2), (3, 6), (7, 12)]
    assert sum(one.sentences for one in found) == 60
    for one in found:
        for seed, lines in runs.items():
            mine = [
                row
                for row in zip(*lines, strict=True)
                if one.shortest <= len(row[0].split()) <= one.longest
            ]
            sources, references, translations = map(list, zip(*mine, strict=True))
            wanted = bleu(translations, references, tokenize="none")["score"]
            assert one.bleu[seed] == pytest.approx(wanted, abs=1e-9)
            assert one.exact_match[seed] == exact_match(translations, references)
        assert one.length == pytest.approx(np.mean(lengths_of(sources)))
    assert found[0].bleu[3] == pytest.approx(0)  # two words have no four in a row
    assert 0 < found[2].bleu[3] < 100


def test_what_lies_beyond_the_last_end_counts_in_no_bin(runs):
    found = by_length(runs, [4, 5, 7, 8], samples=5)
    assert [str(one) for one in found] == ["1 to 4 words", "5 words", "6 to 7 words", "8 words"]
    assert [one.sentences for one in found] == [20, 5, 10, 5]
    assert len(by_length(runs, [8, 20, 30], samples=5)) == 2  # no bin without sentences


def test_the_intervals_over_seeds_and_over_sentences(runs):
    (one,) = by_length(runs, [12], tokenize="none")
    values = list(one.bleu.values())
    low, high = one.over_seeds
    # Student's t for three values, by hand: 4.3027 standard errors to each side.
    reach = 4.302653 * np.std(values, ddof=1) / np.sqrt(3)
    assert (low, high) == pytest.approx((np.mean(values) - reach, np.mean(values) + reach))
    assert one.over_sentences[0] < np.mean(values) < one.over_sentences[1]
    assert one.over_sentences == by_length(runs, [12], tokenize="none")[0].over_sentences
    (alone,) = by_length({3: runs[3]}, [12], tokenize="none")
    assert alone.over_seeds is None and alone.over_sentences[0] < alone.bleu[3]


def test_more_sentences_narrow_the_interval_over_sentences():
    widths = []
    for count in (60, 960):
        (one,) = by_length({0: made_up(count)}, [12], tokenize="none", samples=400)
        widths.append(one.over_sentences[1] - one.over_sentences[0])
    assert 3 < widths[0] / widths[1] < 5.5  # 4 is the root of 16


def test_perfect_translations_have_no_spread(runs):
    perfect = {seed: one._replace(translations=one.references) for seed, one in runs.items()}
    (one,) = by_length(perfect, [12], samples=10)
    assert one.over_seeds == one.over_sentences == pytest.approx((100, 100))
    assert set(one.exact_match.values()) == {1.0}


def test_a_fall_is_a_paired_difference(runs):
    found = by_length(runs, [6, 12], tokenize="none", samples=5)
    fall = paired_difference(found[1].bleu, found[0].bleu)
    assert fall is not None and fall.seeds == (3, 5, 8)
    wanted = np.mean([found[1].bleu[seed] - found[0].bleu[seed] for seed in runs])
    assert fall.mean == pytest.approx(wanted)


@pytest.mark.parametrize("bins", [1, 3, 7])
def test_bins_hold_about_as_many_sentences(bins):
    lengths = np.random.default_rng(0).integers(1, 60, 5_000)
    ends = ends_of(lengths, bins)
    counts = np.diff([0, *np.searchsorted(np.sort(lengths), ends, side="right")])
    assert len(ends) == bins and ends[-1] == 59
    assert np.ptp(counts) < 2 * (lengths == 30).sum()
    assert ends_of([4] * 10 + [9], 5) == [4, 9]  # no length is in two bins
    with pytest.raises(ValueError, match="found 0 bins of 5000"):
        ends_of(lengths, 0)


def test_runs_are_read_from_their_folders(tmp_path, runs):
    rows = [(f"{source}\u2028", *rest) for source, *rest in zip(*runs[3], strict=True)]
    names = ("source", "reference", "translation")
    splits = ["validation"] * 20 + ["test"] * 20 + ["test_long"] * 20
    lines = [
        json.dumps({"split": split, **dict(zip(names, row, strict=True))}, ensure_ascii=False)
        for split, row in zip(splits, rows, strict=True)
    ]
    (tmp_path / "translations.jsonl").write_text("\n".join(lines) + "\n")
    assert [*zip(*read_lines(tmp_path), strict=True)] == rows[20:]
    assert [*zip(*read_lines(tmp_path, ["test_long"]), strict=True)] == rows[40:]
    with pytest.raises(ValueError, match="found no translations of the split test_x in"):
        read_lines(tmp_path, ["test_x"])
    with pytest.raises(ValueError, match="found no translations"):
        read_lines(tmp_path / "gone")


def test_what_cannot_be_compared_is_refused(runs):
    other = runs[3]._replace(sources=["other"] * 60)
    with pytest.raises(ValueError, match="other sentences in the run of seed 1 than in the first"):
        by_length({0: runs[3], 1: other}, [12])
    with pytest.raises(ValueError, match=r"ends=\[6, 3\]"):
        by_length(runs, [6, 3])
    with pytest.raises(ValueError, match="found no runs"):
        by_length({}, [3])


@pytest.fixture
def folders(tmp_path, runs):
    """Two models' runs; the second loses all that is longer than eight words."""
    made = {}
    for model in ("kept", "lost"):
        for seed, lines in runs.items():
            folder = tmp_path / f"{model}-{seed}"
            folder.mkdir()
            rows = [
                {
                    "split": "test",
                    "source": source,
                    "reference": reference,
                    "translation": "" if model == "lost" and len(source.split()) > 8 else text,
                }
                for source, reference, text in zip(*lines, strict=True)
            ]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / "translations.jsonl").write_text(text)
            made.setdefault(model, {})[seed] = folder
    return made


def test_models_are_compared_in_the_same_bins(folders, runs):
    found = of_runs(folders, bins=3, tokenize="none")
    assert [one.longest for one in found["kept"]] == [4, 8, 12]
    ends = [one.longest for one in found["lost"]]
    assert found["kept"] == by_length(runs, ends, tokenize="none")
    assert found["lost"][:2] == found["kept"][:2] and found["lost"][2].summary.mean == 0

    drawn = curves(found)
    x, y, low, high = drawn["kept"]
    assert x == [2.5, 6.5, 10.5] and y == [one.summary.mean for one in found["kept"]]
    assert all(0 <= a <= b <= c <= 100 for a, b, c in zip(low, y, high, strict=True))
    assert (low[1], high[1]) == found["kept"][1].over_seeds
    assert [line[-1] for line in drawn["lost"][1:]] == [0, 0, 0]

    head, _, kept, lost = (line.strip("| ").split(" | ") for line in table(found).split("\n"))
    assert head[0] == "1 to 4 words" and head[-1] == "last − first"
    mean, (_, high) = found["kept"][1].summary.mean, found["kept"][1].over_seeds
    assert kept[:1] + kept[2:3] == ["kept", f"{mean:.1f} ± {high - mean:.1f}"]
    fall = paired_difference(found["lost"][2].bleu, found["lost"][0].bleu)
    ends = f"[{fall.low:+.1f}, {fall.high:+.1f}]"
    assert lost[-1] == f"{fall.mean:+.1f} {ends}".replace("-", "−")


def test_runs_of_other_sentences_are_not_compared(folders):
    path = folders["lost"][3] / "translations.jsonl"
    path.write_text(path.read_text().replace("cat", "cow"))
    with pytest.raises(ValueError, match="found 2 sets of test sentences"):
        of_runs(folders, bins=3)


def test_one_seed_has_the_interval_over_sentences(folders):
    found = of_runs({"kept": {3: folders["kept"][3]}}, bins=1, tokenize="none")
    (one,) = found["kept"]
    assert [line[0] for line in curves(found)["kept"][2:]] == list(one.over_sentences)
    assert f"| kept | {one.bleu[3]:.1f} | +0.0 |" in table(found)
