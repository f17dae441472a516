"""What is padding changes nothing else: no logit, loss or gradient by a single bit.

In the source, padding is the positions past a row's end: their embedding may hold anything, NaN
included. In the target it is what stands behind the last label: any token may stand there. And a
row of a batch is all the same to the rows beside it.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.functional.positions import sinusoidal
from attention_jax.models import transformer
from attention_jax.training.loss import smoothed_cross_entropy
from tests.models.family import (
    FAMILY,
    LABELS,
    QUICK,
    SOURCE,
    TARGET,
    bits,
    parameters,
    structure,
)

pytestmark = pytest.mark.usefixtures("optimized")  # single bits are claimed

DTYPES = ("float32", "bfloat16", "float16")
SEEN = LABELS != 0
WEIGHTS = np.float32(SEEN)
FILLINGS = {
    "NaN": lambda row: np.full_like(row, np.nan),
    "infinity": lambda row: np.full_like(row, np.inf),
    "large": lambda row: np.full_like(row, 1e4),
    "random": lambda row: np.random.default_rng(1).normal(size=row.shape),
}


def cases(found, quick):
    """Names and dtypes; what is not quick is slow, most half precisions and kinds exhaustive."""

    def marks(name, dtype):
        if (name, dtype) in quick:
            return ()
        each = name.startswith("transformer") or name in QUICK
        each = each and (dtype == "float32" or name == "transformer, grouped")
        return (pytest.mark.slow,) if each else (pytest.mark.slow, pytest.mark.exhaustive)

    return [pytest.param(case, id=", ".join(case), marks=marks(*case)) for case in found]


class Made:
    """A model whose parameters and positions, so all it computes, are of one dtype."""

    def __init__(self, name, dtype):
        self.config, self.dtype = FAMILY[name], jnp.dtype(dtype)
        graph, params = structure(self.config), parameters(self.config)
        self.params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        self.build = lambda params: nnx.merge(graph, params)
        self.logits_of = jax.jit(lambda p, source, target: self.build(p)(source, target))

    def loss_of(self, params, source, target, key, weights):
        """Mean loss over the tokens that have a weight."""
        logits = self.build(params)(source, target, rng=key)
        sums = smoothed_cross_entropy(logits, LABELS, weights, smoothing=0.1)
        return sums.loss / sums.tokens


@pytest.fixture(autouse=True)
def positions(request, monkeypatch):
    """Positions are float32 unless asked for otherwise, and would make all the rest so."""
    made = next((v for n, v in request.node.callspec.params.items() if n in ("model", "learner")))
    monkeypatch.setattr(transformer, "sinusoidal", partial(sinusoidal, dtype=made[1]))


# The Transformer in all dtypes, of the other kinds the plain one in that of training.
EVERY = [(name, dtype) for name in FAMILY for dtype in DTYPES]
PLAIN = [(name, dtype) for name, dtype in EVERY if name in QUICK]
PLAIN = [case for case in PLAIN if "transformer" in case[0] or case[1] == "float32"]


@pytest.fixture(scope="module", params=cases(EVERY, PLAIN))
def model(request):
    return Made(*request.param)


# Untied: where tables are shared, the padding's row is a class of the loss too. T5's target may
# begin with padding, so that its row is read like others.
UNTIED = [
    (name, "float32") for name, config in FAMILY.items() if not config.tied and config.kind != "t5"
]
LEARNERS = UNTIED + [("transformer, pre-norm, untied", dtype) for dtype in DTYPES[1:]]
FIRST = {name.partition(",")[0]: (name, dtype) for name, dtype in reversed(UNTIED)}
FIRST["transformer"] = ("transformer, pre-norm, untied", "bfloat16")
QUICKEST = [FIRST["transformer"], FIRST["rnn_seq2seq"], FIRST["luong"]]


@pytest.fixture(scope="module", params=cases(LEARNERS, QUICKEST))
def learner(request):
    made = Made(*request.param)
    made.slope_of = jax.jit(jax.value_and_grad(made.loss_of))
    return made


def with_padding(params, filling):
    """The parameters with another embedding of padding in the source."""
    table = np.array(params[name := name_of_table(params)]["table"])
    table[0] = FILLINGS[filling](table[0])
    return {**params, name: {"table": jnp.asarray(table)}}


def name_of_table(params):
    """What the source is looked up in; where source and target are one sequence, there is one."""
    return "source_embedding" if "source_embedding" in params else "embedding"


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
    name = name_of_table(model.params)
    table = model.params[name]["table"].at[20].set(jnp.nan)
    broken = {**model.params, name: {"table": table}}
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
    assert not learner.config.tied
    changed = with_padding(learner.params, filling)
    key = jax.random.key(1)  # with dropout, as in training
    loss, gradient = learner.slope_of(learner.params, SOURCE, TARGET, key, WEIGHTS)
    other, found = learner.slope_of(changed, SOURCE, TARGET, key, WEIGHTS)
    assert np.isfinite(loss) and bits(other) == bits(loss)
    table = gradient[name_of_table(gradient)]["table"]
    assert np.asarray(table, np.float32)[1:].any() and not np.asarray(table, np.float32)[0].any()
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(bits(a), bits(b)), found, gradient)


def test_loss_and_gradients_do_not_depend_on_the_targets_padding(learner):
    filled = np.where(SEEN, TARGET, 17).astype(np.int32)
    (loss, gradient), (other, found) = (
        learner.slope_of(learner.params, SOURCE, target, jax.random.key(1), WEIGHTS)
        for target in (TARGET, filled)
    )
    assert np.isfinite(loss) and bits(other) == bits(loss)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(bits(a), bits(b)), found, gradient)


def test_a_row_of_padding_alone_is_none(learner):
    """As batches that are not full have them: nothing to read, nothing to write."""
    weights = np.where(np.arange(3)[:, None] == 2, 0, WEIGHTS)
    source, target = (np.where(np.arange(3)[:, None] == 2, 0, side) for side in (SOURCE, TARGET))
    (loss, gradient), (other, found) = (
        learner.slope_of(learner.params, *sides, jax.random.key(1), weights)
        for sides in ((SOURCE, TARGET), (source, target))
    )
    assert np.isfinite(loss) and bits(other) == bits(loss)
    jax.tree.map(np.testing.assert_array_equal, found, gradient)  # 0 may be -0
