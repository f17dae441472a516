"""What is masked, not finite, rounded, empty or refused, around a ring."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from attention_jax.functional import Causal, Lengths, attend, scaled_dot
from attention_jax.functional.local import Around
from attention_jax.parallel import sequence
from attention_jax.parallel.layout import Layout
from tests.parallel.sequence_cases import LAYOUTS, Arrays, agree, arrays, both

RING = LAYOUTS["4x2"].mesh()


MASK = Causal() & Lengths(np.array([9, 0]))


@pytest.fixture(scope="module")
def run():
    """One program for all: output and gradients under causal lengths."""
    return both(partial(sequence.attend, mesh=RING, mask=MASK))


def test_what_is_masked_influences_nothing_even_where_it_holds_nan(run):
    clean = arrays(12, 12, 2, 1)
    dirty = clean._replace(
        key=clean.key.at[0, 9:].set(jnp.nan).at[1].set(jnp.inf),
        value=clean.value.at[0, 9:].set(jnp.inf).at[1].set(jnp.nan),
        query=clean.query.at[1, 3].set(jnp.nan),
    )
    found, wanted = run(dirty), run(clean)
    jax.tree.map(np.testing.assert_array_equal, found[0], wanted[0])
    for one, other in zip(found[1], wanted[1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.any(found[0][1])  # a row with nothing to see gives zeros


def test_what_is_seen_and_not_finite_gives_nan_there_alone(run):
    given = arrays(12, 12, 2, 1)
    given = given._replace(
        value=given.value.at[0, 5].set(jnp.nan), query=given.query.at[0, 2, 1].set(jnp.inf)
    )
    found, gradients = run(given)
    wanted = attend(given.query, given.key, given.value, mask=MASK, backend="reference")
    assert np.isnan(wanted).any() and not np.isnan(wanted).all()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert all(np.isfinite(x).all() for x in gradients)


def test_sums_are_kept_in_float32():
    """2,048 sources of equal weight: a sum of bfloat16 numbers would stop at 256."""
    rows = jnp.ones((1, 2048, 1, 2), jnp.bfloat16)
    query, value = rows[:, :8], rows.at[..., 1].set(3)

    def loss(value):
        output = sequence.attend(query, rows, value, mesh=LAYOUTS["8"].mesh())
        return jnp.sum(output.astype(jnp.float32)), output

    (_, output), d_value = jax.jit(jax.value_and_grad(loss, has_aux=True))(value)
    assert output.dtype == d_value.dtype == jnp.bfloat16
    np.testing.assert_array_equal(output, jnp.broadcast_to(value[:, :1], output.shape))
    np.testing.assert_array_equal(d_value, jnp.full(value.shape, 8 / 2048, jnp.bfloat16))


@pytest.mark.parametrize(("devices", "batch"), [(8, (2, 3)), (1, ())])
def test_any_number_of_leading_axes(devices, batch):
    """Called outside of jit, too; and one device is a ring."""
    layout = LAYOUTS["4x2"] if devices == 8 else Layout()
    rng = np.random.default_rng(0)
    query, key = (rng.normal(size=(*batch, n, 2, 4)).astype(np.float32) for n in (10, 7))
    mask = Lengths(np.full(batch, 5) if batch else 5)
    mesh = layout.mesh(jax.devices()[:devices])
    found = sequence.attend(query, key, key, mesh=mesh, mask=mask)
    np.testing.assert_allclose(found, attend(query, key, key, mask=mask), rtol=1e-5, atol=1e-5)


def test_a_batch_that_does_not_fit_stays_whole():
    one = Arrays(*(x[:1] for x in arrays(9, 9, 2, 2)))
    agree(LAYOUTS["4x2"], one, Causal())


def test_nothing_to_read_gives_zeros():
    query, key, value, _ = arrays(9, 0)
    found = sequence.attend(query, key, value, mesh=RING)
    np.testing.assert_array_equal(found, jnp.zeros((2, 9, 8, 3)))


def _refused(match, **options):
    query, key, value, _ = arrays(8, 8, heads=2, groups=1)
    with pytest.raises(ValueError, match=match):
        sequence.attend(query, key, value, **{"mesh": RING} | options)


def test_what_does_not_fit_is_refused_with_what_would():
    _refused(r"mask holds .* a truth value for each query", mask=Causal().array(8, 8))
    _refused(r"mask holds .* Causal, Dilated", mask=Causal() & jnp.ones((8, 8), bool))
    _refused("of a mask of one's own", mask=Around(np.zeros((8, 1)), 1.5))
    _refused(r"mask has shape|Segments: queries|wanted", mask=Lengths(np.array([1, 2, 3])))
    _refused(r"score holds an array \[2\]", score=partial(scaled_dot, scale=jnp.ones(2)))
    _refused(r"exchange is 'both'; ring or all_to_all would fit", exchange="both")
    _refused(r"order is 'striped'; auto, zigzag, contiguous would fit", order="striped")
    mesh = LAYOUTS["2x2x2"].mesh()
    _refused(r"1 key/value heads \(G\) over model = 2 devices; a multiple of 2", mesh=mesh)
    plain = Mesh(np.asarray(jax.devices()), ("ring",))
    _refused(r"mesh has the axes \['ring'\] .* Layout\(sequence=8\)", mesh=plain)
