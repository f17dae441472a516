"""Any score with any mask, normalizer and bias, on any backend and at any sizes."""

import jax
import numpy as np
import pytest
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st

from tests.functional import oracle
from tests.functional.cases import (
    ALL_NORMALIZERS,
    ALL_SCORES,
    BACKENDS,
    BIASES,
    MASKS,
    Row,
    Sizes,
    example,
)

rows = st.builds(
    Row,
    score=st.sampled_from(ALL_SCORES),
    mask=st.sampled_from(MASKS),
    normalizer=st.sampled_from(ALL_NORMALIZERS),
    backend=st.sampled_from(BACKENDS),
    bias=st.sampled_from(BIASES),
)


@st.composite
def sizes(draw):
    groups = draw(st.integers(1, 2))
    return Sizes(
        B=tuple(draw(st.lists(st.integers(1, 2), max_size=2))),
        T=draw(st.integers(1, 9)),
        S=draw(st.integers(1, 9)),
        H=groups * draw(st.integers(1, 3)),
        G=groups,
        K=draw(st.integers(1, 5)),
        E=draw(st.integers(1, 5)),
    )


def check(row, sizes):
    note(str(row))
    # Cosines of one feature are ±1: which of equals is the largest is left to rounding.
    assume(row.normalizer.dense or sizes.K > 1)
    case = example(row, sizes)

    def both(query, key, value):
        return case.attend(query, key, value), case.explain(query, key)

    found = jax.jit(both)(*case.arrays)
    wanted = oracle.attention(*case.arrays, **case.oracle)
    for name, array, by_oracle in zip(("output", "weights"), found, wanted, strict=True):
        np.testing.assert_allclose(array, by_oracle, rtol=1e-4, atol=1e-5, err_msg=name)


@given(row=rows, sizes=sizes())
@settings(max_examples=15)
def test_any_row_at_any_sizes(row, sizes):
    check(row, sizes)


@pytest.mark.slow
@pytest.mark.exhaustive
@given(row=rows, sizes=sizes())
@settings(max_examples=200)
def test_many_rows_at_many_sizes(row, sizes):
    check(row, sizes)
