"""What statistics say in a word, and where heads stand."""

import math

import pytest

from attention_jax.views.head_words import (
    IMPORTANCE,
    LOSS,
    best_aligned,
    coloured_by,
    counted,
    layers,
    legend,
    number,
    word,
)
from tests.views.made_up import description, head


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        ({}, ""),
        ({"previous": 0.5}, "previous"),
        ({"previous": 0.49}, ""),
        ({"next": 0.6, "previous": 0.3}, "next"),
        ({"same": 0.9, "confidence": 0.95}, "same"),
        ({"first": 1.0}, "first"),
        ({"alignment_error": 0.3, "same": 0.9}, "aligned"),
        ({"alignment_error": 0.31}, ""),
        ({"confidence": 0.8}, "focused"),
        ({"entropy": 1.5}, "broad"),
        ({"entropy": None, "confidence": None, "previous": None, "first": math.nan}, ""),
    ],
)
def test_a_head_is_called_what_its_statistics_say(numbers, wanted):
    found = word(head("cross", 0, 0, **numbers))
    assert found == wanted
    assert not wanted or wanted in legend()


def test_layers_may_be_unequal_or_empty():
    found = [(row.part, row.layer, list(row.heads)) for row in layers(description())]
    assert found == [
        ("encoder", 0, [0, 1]), ("encoder", 1, [0]), ("decoder", 0, []), ("decoder", 1, []),
        ("cross", 0, [0, 1]), ("cross", 1, []),
    ]  # fmt: skip
    assert layers({"heads": []}) == [] and layers({}) == []


def test_heads_are_coloured_by_the_best_number_there_is():
    full = head("encoder", 0, 0)
    assert coloured_by([description(full)]) == LOSS
    assert coloured_by([description({**full, "loss_without": None})]) == IMPORTANCE
    bare = {**full, "loss_without": math.nan, "importance": None}
    assert coloured_by([description(bare), {}]) is None
    assert number(bare, LOSS) is None and number({}, LOSS) is None


def test_words_are_counted():
    assert counted(description()) == "1 aligned, 1 broad, 1 previous, 2 without a word"


def test_the_best_aligned_head_is_named():
    assert best_aligned(description()) == (
        "Alignment error rate: 0.125 of the best head (cross, layer 1, head 1), "
        "0.312 on average over heads."
    )
    together = best_aligned(description(mean_alignment_error=[0.25, None]))
    assert together.endswith(", 0.250 of the best layer's heads taken together.")
    assert best_aligned(description(head("encoder", 0, 0))) == ""
