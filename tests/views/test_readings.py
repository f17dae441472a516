"""What a view is given is checked where it is made."""

import numpy as np
import pytest

from attention_jax.views.readings import Attention, Candidate, Reading

WEIGHTS = np.full((2, 3, 2, 4), 0.25)  # [L, H, T, S]
QUERIES, SOURCES = ["a", "b"], ["w", "x", "y", "z"]


def attention(**changes):
    fitting = {"name": "cross", "weights": WEIGHTS, "queries": QUERIES, "sources": SOURCES}
    return Attention(**(fitting | changes))


def vectors(heads=3, groups=3, features=5):
    return {
        "query_vectors": np.ones((2, heads, 2, features)),
        "key_vectors": np.ones((2, groups, 4, features)),
    }


def test_layers_are_kept_as_float32():
    found = attention()
    assert [layer.dtype for layer in found.weights] == [np.float32] * 2
    assert found.queries == ("a", "b") and found.chosen == ()


def test_layers_may_have_different_numbers_of_heads_and_none():
    found = attention(
        weights=[WEIGHTS[0], WEIGHTS[0, :0]],
        query_vectors=[np.ones((3, 2, 5)), np.ones((0, 2, 5))],
        key_vectors=[np.ones((1, 4, 5)), np.ones((0, 4, 5))],
    )
    assert [len(layer) for layer in found.weights] == [3, 0]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"queries": ["a"]}, r"\(3, 2, 4\); \[heads, 1, 4\] would fit"),
        ({"sources": [1, 2, 3, 4]}, "sources of 'cross' holds what is no string"),
        ({"weights": []}, "0 layers, 2 queries and 4 sources"),
        ({"queries": []}, "2 layers, 0 queries"),
        ({"chosen": ["c"]}, "2 queries and 1 tokens chosen"),
        ({"weights": -WEIGHTS}, "weights from -0.25"),
        ({"weights": 5 * WEIGHTS}, "to 1.25"),
        ({"weights": np.nan * WEIGHTS}, "finite numbers from 0 to 1 would fit"),
        ({"query_vectors": np.ones((2, 3, 2, 5))}, "queries and keys for 2 and 0"),
        (vectors(groups=2), "groups that divide 3"),
        (vectors(heads=2), r"\[3, 2, features\]"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        attention(**changes)


STEPS = (
    (Candidate("a", -1.0, -1), Candidate("b", -2.0, -1)),
    (Candidate("c", -3.0, 1), Candidate("d", -4.0, 0)),
)


def test_a_path_follows_parents():
    assert Reading((attention(),), steps=STEPS, path=(1, 0)).path == (1, 0)
    assert Reading((attention(),), steps=STEPS, path=(0,)).path == (0,)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"attentions": ()}, "at least one"),
        ({"attentions": (attention(), attention())}, "all different"),
        ({"steps": STEPS, "path": (0, 0)}, "goes from 0 to 0 at position 1"),
        ({"steps": STEPS, "path": (0, 1, 0)}, "path has 3 positions and the search 2"),
        ({"steps": STEPS[1:]}, "goes on from 1; -1 would fit"),
        ({"steps": (STEPS[0], (Candidate("c", 0.0, 2),))}, "goes on from 2; 0 to 1 would fit"),
    ],
)
def test_readings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Reading(**({"attentions": (attention(),)} | changes))
