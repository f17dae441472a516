"""What a batch costs."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np

from attention_jax.data.batches import Batch
from attention_jax.models.kinds import KINDS
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.objective import objective_of, penalised, translation

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 5)), jnp.float32)
BATCH = Batch(
    np.ones((2, 4), np.int32),
    np.ones((2, 3), np.int32),
    np.array([[1, 2, 0], [3, 4, 1]], np.int32),
    np.array([[1, 1, 0], [1, 1, 1]], np.float32),
)
WANTED = smoothed_cross_entropy(LOGITS, BATCH.target_out, BATCH.weights, smoothing=0.1)


class Model:
    """Answers with fixed logits, and remembers what it was called with."""

    def __call__(self, source, target_in, **call):
        self.call = call
        return (LOGITS, "seen") if call.get("explain") else LOGITS

    def penalised(self, source, target_in, weights, **call):
        return self(source, target_in, **call), jnp.sum(weights) * 2


def test_translation_is_the_cross_entropy_of_the_target():
    model = Model()
    assert translation(model, BATCH, rng="key", smoothing=0.1, heads="hook") == WANTED
    assert model.call == {"rng": "key", "heads": "hook"}


def test_what_is_explained_comes_beside():
    for objective in (translation, penalised):
        sums, seen = objective(Model(), BATCH, explain=True)
        assert seen == "seen"
        assert float(sums.nll) == float(WANTED.nll)


def test_a_penalty_is_trained_on_and_is_no_likelihood():
    sums = penalised(Model(), BATCH, smoothing=0.1)
    assert float(sums.loss) == float(WANTED.loss + 10)
    assert float(sums.nll) == float(WANTED.nll)


def test_only_models_that_halt_have_a_penalty():
    assert objective_of(SimpleNamespace(halting="act")) is penalised
    for kind in KINDS.values():
        assert objective_of(kind()) is translation
