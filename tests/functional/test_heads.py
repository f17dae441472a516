import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional import attend, merge_heads, repeat_groups, split_heads

X = np.random.default_rng(0).normal(size=(2, 5, 12)).astype(np.float32)


@pytest.mark.parametrize("heads", [1, 3, 12])
def test_split_and_merge_are_inverse(heads):
    split = split_heads(X, heads)
    assert split.shape == (2, 5, heads, 12 // heads)
    np.testing.assert_array_equal(merge_heads(split), X)


def test_heads_lie_side_by_side():
    np.testing.assert_array_equal(split_heads(X, 3)[..., 1, :], X[..., 4:8])


def test_repeat_groups_gives_neighbouring_heads_the_same_key():
    repeated = repeat_groups(split_heads(X, 2), 6)
    assert repeated.shape == (2, 5, 6, 6)
    np.testing.assert_array_equal(repeated[..., 2, :], X[..., :6])
    np.testing.assert_array_equal(repeated[..., 3, :], X[..., 6:])


def test_groups_are_read_without_copies_as_with_them():
    query = split_heads(jnp.concatenate([X, X[..., ::-1]], -1), 6)
    key = split_heads(X[..., :8], 2)
    np.testing.assert_allclose(
        attend(query, key, key),
        attend(query, repeat_groups(key, 6), repeat_groups(key, 6)),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: split_heads(X, 5), r"heads=5 does not divide the width D=12 of x \[2, 5, 12\]"),
        (lambda: split_heads(X, 0), "heads=0"),
        (lambda: merge_heads(X[0]), r"x has shape \[5, 12\], wanted \[\*B, T, H, E\]"),
        (lambda: repeat_groups(split_heads(X, 2), 3), "heads=3 is no multiple of the G=2"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
