"""What is padding changes nothing else: no logit, loss or gradient by a single bit.

In the source, padding is the positions past a row's end: their embedding may hold anything, NaN
included. In the target it is what stands behind the last label: any token may stand there. And a
row of a batch is all the same to the rows beside it.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.functional.positions import sinusoidal
from attention_jax.models import transformer
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.step import split

pytestmark = pytest.mark.usefixtures("optimized")  # single bits are claimed

SMALL = TransformerConfig(
    vocabulary=23, width=16, encoder_layers=2, decoder_layers=1, heads=4, feed_forward=24
)
CONFIGS = {
    "post-norm": SMALL,
    "pre-norm": replace(SMALL, norm="pre"),
    "untied": replace(SMALL, tied=False),
    "pre-norm, untied": replace(SMALL, norm="pre", tied=False),
    "one head": replace(SMALL, heads=1),
    "grouped": replace(SMALL, key_value_heads=2, tied=False),
    "one key": replace(SMALL, key_value_heads=1),
    "small heads": replace(SMALL, heads=3, head_size=2, output_bias=True),
    "pruned": replace(SMALL, encoder_heads=(4, 0), decoder_heads=(2,), cross_heads=(3,)),
}
DTYPES = ("float32", "bfloat16", "float16")
SOURCE = np.array([[5, 6, 7, 8, 2, 0, 0], [9, 4, 2, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8, 2]], np.int32)
TARGET = np.array([[1, 11, 12, 13, 0], [1, 14, 15, 3, 9], [1, 4, 0, 0, 0]], np.int32)
LABELS = np.array([[11, 12, 13, 2, 0], [14, 15, 3, 9, 2], [4, 2, 0, 0, 0]], np.int32)
SEEN = LABELS != 0
FILLINGS = {
    "NaN": lambda row: np.full_like(row, np.nan),
    "infinity": lambda row: np.full_like(row, np.inf),
    "large": lambda row: np.full_like(row, 1e4),
    "random": lambda row: np.random.default_rng(1).normal(size=row.shape),
}


QUICK = ("post-norm", "pre-norm, untied")


def cases(found, quick):
    """Names and dtypes; what is not quick is for the slow suite."""
    marks = {True: (), False: (pytest.mark.slow,)}
    return [
        pytest.param((name, dtype), id=f"{name}, {dtype}", marks=marks[quick(name, dtype)])
        for name, dtype in found
    ]


class Made:
    """A model whose parameters and positions, so all it computes, are of one dtype."""

    def __init__(self, name, dtype):
        self.config, self.dtype = CONFIGS[name], jnp.dtype(dtype)
        graph, params = split(Transformer(self.config, rngs=nnx.Rngs(0)))
        self.params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        self.build = lambda params: nnx.merge(graph, params)
        self.logits_of = jax.jit(lambda p, source, target: self.build(p)(source, target))

    def loss_of(self, params, source, target, key):
        """Mean loss over the real tokens."""
        logits = self.build(params)(source, target, rng=key)
        weights = jnp.asarray(SEEN, jnp.float32)
        sums = smoothed_cross_entropy(logits, LABELS, weights, smoothing=0.1)
        return sums.loss / sums.tokens


@pytest.fixture(autouse=True)
def positions(request, monkeypatch):
    """Positions are float32 unless asked for otherwise, and would make all the rest so."""
    made = next((v for n, v in request.node.callspec.params.items() if n in ("model", "learner")))
    monkeypatch.setattr(transformer, "sinusoidal", partial(sinusoidal, dtype=made[1]))


EVERY = [(name, dtype) for name in CONFIGS for dtype in DTYPES]


@pytest.fixture(scope="module", params=cases(EVERY, lambda name, _: name in QUICK))
def model(request):
    return Made(*request.param)


LEARNERS = [("pre-norm, untied", dtype) for dtype in DTYPES]
LEARNERS += [("untied", "float32"), ("grouped", "float32")]


@pytest.fixture(
    scope="module",
    params=cases(LEARNERS, lambda name, dtype: (name, dtype) == ("pre-norm, untied", "bfloat16")),
)
def learner(request):
    made = Made(*request.param)
    made.slope_of = jax.jit(jax.value_and_grad(made.loss_of))
    return made


def with_padding(params, filling):
    """The parameters with another embedding of padding in the source."""
    table = np.array(params["source_embedding"]["table"])
    table[0] = FILLINGS[filling](table[0])
    return {**params, "source_embedding": {"table": jnp.asarray(table)}}


def bits(array):
    array = np.asarray(array)
    return array.view(f"u{array.dtype.itemsize}")


def seen(config, logits):
    """The logits of real tokens; where tables are shared, that of padding itself is its row's."""
    return bits(logits)[SEEN][:, int(config.tied) :]


@pytest.mark.parametrize("filling", FILLINGS)
def test_the_sources_padding_may_hold_anything(model, filling):
    plain = model.logits_of(model.params, SOURCE, TARGET)
    assert plain.dtype == model.dtype and np.isfinite(np.asarray(plain, np.float32)).all()
    found = model.logits_of(with_padding(model.params, filling), SOURCE, TARGET)
    np.testing.assert_array_equal(seen(model.config, found), seen(model.config, plain))


def test_what_stands_behind_the_target_is_not_seen(model):
    filled = np.where(SEEN, TARGET, 17).astype(np.int32)
    assert (filled != TARGET).any()
    plain, found = (model.logits_of(model.params, SOURCE, target) for target in (TARGET, filled))
    np.testing.assert_array_equal(bits(found)[SEEN], bits(plain)[SEEN])


def test_rows_of_a_batch_do_not_see_each_other(model):
    plain = bits(model.logits_of(model.params, SOURCE, TARGET))
    for row in range(len(SOURCE)):
        source, target = np.full_like(SOURCE, 19), np.full_like(TARGET, 18)
        source[row], target[row] = SOURCE[row], TARGET[row]
        found = bits(model.logits_of(model.params, source, target))
        np.testing.assert_array_equal(found[row], plain[row])
        assert (np.delete(found, row, 0) != np.delete(plain, row, 0)).any()


def test_a_row_beside_one_that_is_not_finite_stays_as_it_is(model):
    table = model.params["source_embedding"]["table"].at[20].set(jnp.nan)
    broken = {**model.params, "source_embedding": {"table": table}}
    source = SOURCE.copy()
    source[1, :2] = 20
    # A shared table makes the logit of token 20 from the same row.
    columns = [column for column in range(23) if column != 20 or not model.config.tied]
    plain = model.logits_of(model.params, SOURCE, TARGET)
    found = model.logits_of(broken, source, TARGET)
    assert not np.isfinite(np.asarray(found, np.float32)[1]).any()
    for row in (0, 2):
        np.testing.assert_array_equal(bits(found)[row][:, columns], bits(plain)[row][:, columns])


@pytest.mark.slow
def test_decoding_reads_no_padding(learner):
    @jax.jit
    def written(params):
        model = learner.build(params)
        cache, found = model.start(SOURCE, 2), []
        for place in range(2):
            logits, cache = model.step(cache, TARGET[:, place])
            found.append(logits)
        return jnp.stack(found, 1)

    plain = bits(written(learner.params))
    for filling in FILLINGS:
        found = bits(written(with_padding(learner.params, filling)))
        columns = slice(int(learner.config.tied), None)
        np.testing.assert_array_equal(found[:, :, columns], plain[:, :, columns])


@pytest.mark.parametrize("filling", FILLINGS)
def test_loss_and_gradients_do_not_depend_on_the_sources_padding(learner, filling):
    # Untied: where tables are shared, the padding's row is a class of the loss too.
    assert not learner.config.tied
    changed = with_padding(learner.params, filling)
    key = jax.random.key(1)  # with dropout, as in training
    loss, gradient = learner.slope_of(learner.params, SOURCE, TARGET, key)
    other, found = learner.slope_of(changed, SOURCE, TARGET, key)
    assert np.isfinite(loss) and bits(other) == bits(loss)
    table = gradient["source_embedding"]["table"]
    assert np.asarray(table, np.float32)[1:].any() and not np.asarray(table, np.float32)[0].any()
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(bits(a), bits(b)), found, gradient)


def test_loss_and_gradients_do_not_depend_on_the_targets_padding(learner):
    filled = np.where(SEEN, TARGET, 17).astype(np.int32)
    (loss, gradient), (other, found) = (
        learner.slope_of(learner.params, SOURCE, target, jax.random.key(1))
        for target in (TARGET, filled)
    )
    assert np.isfinite(loss) and bits(other) == bits(loss)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(bits(a), bits(b)), found, gradient)
