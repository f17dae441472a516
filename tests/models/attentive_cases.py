"""What the tests of Bahdanau's and Luong's models share: sentences, and models compiled once."""

import jax
import numpy as np
from flax import nnx

from attention_jax.models.places import Place
from attention_jax.training.step import split

SOURCE = np.array([[5, 6, 7, 8, 2], [9, 4, 2, 0, 0], [2, 0, 0, 0, 0]], np.int32)
TARGET = np.array([[1, 11, 12, 13], [1, 14, 15, 3], [1, 4, 4, 5]], np.int32)
CROSS = Place("cross", 0)


class Made:
    """A model with random parameters, no bias zero, and compiled functions of them."""

    def __init__(self, model, config, dtype: type = np.float32):
        self.config = config
        graph, shapes = split(nnx.eval_shape(lambda: model(config, rngs=nnx.Rngs(0))))
        chance = np.random.default_rng(0)
        self.params = jax.tree.map(lambda one: 0.4 * chance.normal(size=one.shape), shapes)
        self.params = jax.tree.map(lambda leaf: leaf.astype(dtype), self.params)
        self.build = lambda params: nnx.merge(graph, params)
        self.model = self.build(self.params)
        self._run = jax.jit(
            lambda params, source, target, explain: self.build(params)(
                source, target, explain=explain
            ),
            static_argnums=3,
        )
        self._step = jax.jit(lambda params, cache, tokens: self.build(params).step(cache, tokens))
        self._start = jax.jit(lambda params, source: self.build(params).start(source, 4))

    def __call__(self, source=SOURCE, target=TARGET, explain=False):
        """The whole pass."""
        return self._run(self.params, source, target, explain)

    def start(self, source=SOURCE):
        return self._start(self.params, source)

    def step(self, cache, tokens):
        return self._step(self.params, cache, np.asarray(tokens, np.int32))

    def agrees_with(self, oracle, atol):
        """Checks logits and weights, sentence by sentence: `oracle(source, target)` gives both."""
        logits, found = self(explain=True)
        for row, (source, target) in enumerate(zip(SOURCE, TARGET, strict=True)):
            wanted, weights = oracle(source, target)
            np.testing.assert_allclose(logits[row], wanted, atol=atol)
            length = weights.shape[1]
            np.testing.assert_allclose(found[CROSS][row, 0, :, :length], weights, atol=atol)
            assert (found[CROSS][row, 0, :, length:] == 0).all()
        return logits

    def steps_agree_with_the_whole(self):
        """Checks the cache: its shapes, and the logits of one step after another."""
        whole, cache = self(), self.start()
        assert all(leaf.shape[0] == len(SOURCE) for leaf in jax.tree.leaves(cache) if leaf.ndim)
        for t in range(TARGET.shape[1]):
            logits, cache = self.step(cache, TARGET[:, t])
            np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)
