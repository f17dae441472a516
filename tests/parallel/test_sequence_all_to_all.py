"""Attention after an exchange of heads for positions is attention, and so are its gradients."""

import jax
import pytest

from attention_jax.functional import Causal
from attention_jax.parallel import sequence
from tests.parallel.sequence_cases import LAYOUTS, SELF, agree, arrays

DEFAULT = [("8", "causal"), ("4x2", "segments")]
SLOW = [("4x2", name) for name in SELF if name != "segments"]
SLOW += [("2x2x2", "window"), ("8", "causal lengths")]


@pytest.mark.parametrize(("layout", "name"), DEFAULT)
def test_self_attention(layout, name):
    agree(LAYOUTS[layout], arrays(37, 37), SELF[name], exchange="all_to_all")


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "name"), SLOW)
def test_every_mask_and_layout(layout, name):
    agree(LAYOUTS[layout], arrays(37, 37), SELF[name], exchange="all_to_all")


def test_cross_attention_of_grouped_heads():
    given = arrays(13, 22, heads=8, groups=4)
    agree(LAYOUTS["2x2x2"], given, Causal(6), exchange="all_to_all")


def test_a_batch_that_does_not_fit_stays_whole():
    """Replicated rows are where a sum over the devices would count them twice."""
    given = arrays(9, 9)._asdict()
    one = type(arrays(1, 1))(**{name: x[:1] for name, x in given.items()})
    agree(LAYOUTS["4x2"], one, Causal(), exchange="all_to_all")


def test_heads_that_do_not_divide_are_refused():
    query, key, value, _ = arrays(8, 8, heads=8, groups=2)
    with pytest.raises(ValueError, match=r"2 key/value heads \(G\) over sequence × model = 4"):
        mesh = LAYOUTS["2x2x2"].mesh()
        sequence.attend(query, key, value, mesh=mesh, exchange="all_to_all")
    with pytest.raises(ValueError, match=r"2 heads \(H\) .* a multiple of 8 would fit; exchange="):
        query = jax.ShapeDtypeStruct((2, 8, 2, 4), "float32")
        sequence.attend(query, key, value, mesh=LAYOUTS["8"].mesh(), exchange="all_to_all")
