"""ROUGE against counts by other means, and against numbers worked out by hand."""

import itertools
import random

import pytest

from attention_jax.training.rouge import in_order, overlap, rouge, words


def subsequences(text):
    return {tuple(text[i] for i in chosen) for n in range(len(text) + 1)
            for chosen in itertools.combinations(range(len(text)), n)}  # fmt: skip


def shared(one, other, n):
    """n-grams in common: each one found is struck off the other text's list."""
    left = [other[at : at + n] for at in range(len(other) - n + 1)]
    count = 0
    for at in range(len(one) - n + 1):
        if one[at : at + n] in left:
            left.remove(one[at : at + n])
            count += 1
    return count


@pytest.mark.parametrize("seed", range(30))
def test_counts_by_other_means(seed):
    chance = random.Random(seed)
    one, other = (chance.choices("abc", k=chance.randint(1, 8)) for _ in range(2))
    for n in (1, 2, 3):
        room = [max(0, len(text) - n + 1) for text in (one, other)]
        common = shared(one, other, n)
        if min(room) and common:
            precision, recall = common / room[0], common / room[1]
            wanted = 2 * precision * recall / (precision + recall)
        else:
            wanted = float(not any(room))
        assert overlap(one, other, n) == pytest.approx(wanted)
    longest = max(map(len, subsequences(one) & subsequences(other)))
    precision, recall = longest / len(one), longest / len(other)
    wanted = 2 * precision * recall / (precision + recall) if longest else 0.0
    assert in_order(one, other) == pytest.approx(wanted)


def test_the_examples_of_the_paper():
    """Lin 2004, section 3.1: "police kill the gunman" and "the gunman kill police"."""
    reference = "police killed the gunman"
    assert in_order(words("police kill the gunman"), words(reference)) == pytest.approx(3 / 4)
    assert in_order(words("the gunman kill police"), words(reference)) == pytest.approx(2 / 4)
    assert overlap(words("the gunman kill police"), words(reference), 2) == pytest.approx(1 / 3)


def test_the_mean_of_texts_in_percent():
    found = rouge(["The cat, the cat.", "a b"], ["the cat", "a c"])
    assert found == pytest.approx(
        {"rouge_1": 100 * (2 / 3 + 1 / 2) / 2, "rouge_2": 100 * (2 / 4) / 2,
         "rouge_l": 100 * (2 / 3 + 1 / 2) / 2}
    )  # fmt: skip
    assert rouge(["", "..."], ["", "a"]) == {"rouge_1": 50.0, "rouge_2": 100.0, "rouge_l": 50.0}


@pytest.mark.parametrize(
    "given, message",
    [
        (("a b", ["a b"]), "hypotheses is one string"),
        ((["a"], []), "1 hypotheses and 0 references"),
        (([], []), "at least one"),
    ],
)
def test_bad_lists_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        rouge(*given)


def test_no_n_grams_below_one():
    with pytest.raises(ValueError, match="n is 0"):
        overlap(["a"], ["a"], 0)
