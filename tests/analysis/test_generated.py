"""What generated pictures are worth: numbers worked by hand, and scipy."""

import numpy as np
import pytest

from attention_jax.analysis.generated import agreement, frechet

CHANCE = np.random.default_rng(0)


def test_agreement_by_hand():
    found = agreement([0, 0, 1, 1], [0, 1, 1, 1], 3)
    assert found["agreement"] == 0.75 and found["by_class"] == [0.5, 1.0, None]
    assert found["balance"] == [0.25, 0.75, 0.0]
    wanted = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75)) / np.log(3)
    np.testing.assert_allclose(found["entropy"], wanted)
    assert agreement(range(5), range(5), 5)["entropy"] == pytest.approx(1)
    assert agreement([1, 2], [0, 0], 3)["entropy"] == 0


def test_frechet_of_clouds_that_are_known():
    rows = CHANCE.normal(size=(50, 4))
    assert frechet(rows, rows) < 1e-9
    # Moved, it is the squared distance of the means; stretched, that of the spreads' roots.
    np.testing.assert_allclose(frechet(rows, rows + [1, 2, 0, 0]), 5, rtol=1e-9)
    spread = np.cov(rows.T).trace()
    centred = rows - rows.mean(0)
    np.testing.assert_allclose(frechet(centred, 3 * centred), 4 * spread, rtol=1e-9)


def test_frechet_is_what_a_square_root_of_the_product_gives():
    import scipy.linalg

    one, other = (
        CHANCE.normal(size=(40, 5)) @ CHANCE.normal(size=(5, 5)),
        CHANCE.gamma(2, size=(30, 5)),
    )
    a, b = np.cov(one.T), np.cov(other.T)
    root = scipy.linalg.sqrtm(a @ b).real
    wanted = np.sum((one.mean(0) - other.mean(0)) ** 2) + np.trace(a + b - 2 * root)
    np.testing.assert_allclose(frechet(one, other), wanted, rtol=1e-6)
    np.testing.assert_allclose(frechet(other, one), wanted, rtol=1e-6)


def test_fewer_rows_than_features_will_do():
    rows = CHANCE.normal(size=(3, 10))
    assert np.isfinite(frechet(rows, CHANCE.normal(size=(4, 10))))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="as many labels"):
        agreement([0, 1], [0], 2)
    with pytest.raises(ValueError, match="recognized has labels from 0 to 2"):
        agreement([0, 1], [0, 2], 2)
    with pytest.raises(ValueError, match="at least two rows"):
        frechet(np.zeros((1, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="finite"):
        frechet(np.full((2, 3), np.nan), np.zeros((4, 3)))
