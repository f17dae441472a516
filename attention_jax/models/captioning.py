"""A decoder that looks at a part of the picture for every word that it writes.

Source: Xu, Ba, Kiros, Cho, Courville, Salakhutdinov, Zemel and Bengio, *Show, Attend and Tell:
Neural Image Caption Generation with Visual Attention*, 2015; the soft attention of section 4.2.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, UInt8

from attention_jax.functional import additive, attend, softmax, weigh
from attention_jax.functional.layers import dropout
from attention_jax.functional.recur import Times, recur
from attention_jax.models.captioning_config import ATTENTION, CaptioningConfig
from attention_jax.models.captioning_layers import Cells
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Arrange, as_it_is
from attention_jax.modules import Dense, Embedding
from attention_jax.modules.attention import Attend
from attention_jax.modules.recurrent import RecurrentLayer

__all__ = ["Captioning", "CaptioningConfig"]

State = tuple[Float[Array, "B K"], Float[Array, "B K"]]
"""Hidden state and memory of the LSTM."""

Heads = Callable[[Place, Array], Array]


class Seen(NamedTuple):
    """What the decoder reads of a picture, the same at every word."""

    keys: Float[Array, "B S F"]
    values: Float[Array, "B S D"]


class Cache(NamedTuple):
    """What decoding keeps between words; every array leads with the batch."""

    state: State
    seen: Seen


class Captioning(nnx.Module):
    """From pictures, and the words before, to logits for each next word.

    An LSTM looks, with the state before a word, at all cells of the picture; the mean of what is
    there, by how well each cell matches, goes into its step and into the logits.

    Not the paper's: the network that looks, which is small and learned with the rest, and knows
    where cells are; dropout before the logits; where parameters start (Glorot-uniform).
    """

    def __init__(self, config: CaptioningConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width, size, seen = config.width, config.embedding, config.cells.channels
        self.cells = Cells(config.cells, rngs=rngs)
        self.embedding = Embedding(config.vocabulary, size, rngs=rngs)
        self.first_hidden = Dense(seen, width, rngs=rngs)
        self.first_memory = Dense(seen, width, rngs=rngs)
        self.decoder = RecurrentLayer(size, width, cell="lstm", rngs=rngs)
        # The matrices of the decoder's loop are never cut over devices: letter P, as in its unit.
        in_loop: Any = {"bias": False, "letters": "D P", "rngs": rngs}
        self.context = Dense(seen, 4 * width, **in_loop)
        self.query = Dense(width, config.alignment, **in_loop)
        self.key = Dense(seen, config.alignment, letters="D P", rngs=rngs)
        self.gate = Dense(width, 1, letters="D P", rngs=rngs) if config.gate else None
        direction = jax.random.normal(rngs.params(), (config.alignment,))
        self.direction = nnx.Param(direction * config.alignment**-0.5, letters="P")
        self.of_state = Dense(width, size, rngs=rngs)
        self.of_context = Dense(seen, size, bias=False, rngs=rngs)
        self.projection = Dense(size, config.vocabulary, letters="D V", rngs=rngs)

    def __call__(
        self,
        pictures: UInt8[Array, "B rows columns 3"],
        target_in: Int[Array, "B T"],
        *,
        rng: Array | None = None,
        explain: bool | Callable[[Place, Array], Any] = False,
        heads: Heads | None = None,
        attend: Attend = attend,
        arrange: Arrange = as_it_is,
    ):
        """Logits for every word.

        Args:
          pictures: red, green and blue from 0 to 255.
          target_in: the caption, shifted right by a start mark.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives the attention weights [B, 1, T, S], the cells row by row; of a
            function of their place and them what it returns. The logits stay the same.
          heads: is given the place and what is read there for a word, [B, 1, 1, D], and returns
            what is read instead.
          attend: as all models take it; the loop needs the weights, and so makes them by itself.
          arrange: called with activations and their letters; says where they lie on devices.

        Returns:
          Logits [B, T, V]; with `explain` the pair (logits, what was asked for by `Place`).

        Raises:
          ValueError: pictures of another size.
        """
        del attend
        rngs = [None] * 2 if rng is None else list(jax.random.split(rng, 2))
        state, seen = self._look(pictures)
        seen = Seen(arrange(seen.keys, "B S P"), arrange(seen.values, "B S P"))
        words = dropout(self.embedding.embed(target_in), self.config.dropout, rngs[0])

        def step(times: Times, constants: Any, state: State, x: Array):
            return self._advance(times, constants, state, x, heads)

        # What gates a head may be differentiated with respect to, though it is no argument.
        _, (hidden, context, weights) = recur(
            step,
            self._kernels(),
            self._constants(seen),
            state,
            self.decoder.inputs(words),
            hoist=heads is None,
        )
        logits = arrange(self._logits(hidden, words, context, rngs[1]), "B T V")
        if explain is False:
            return logits
        look = (lambda _, weights: weights) if explain is True else explain
        return logits, {ATTENTION: look(ATTENTION, weights[:, None])}

    def start(self, pictures: UInt8[Array, "B rows columns 3"], length: int) -> Cache:
        """Looks at the pictures once; there is room for any `length`."""
        del length
        return Cache(*self._look(pictures))

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the words at the cache's position; gives the logits of the next ones."""
        kernels, word = self._kernels(), self.embedding.embed(tokens)
        state, (hidden, context, _) = self._advance(
            lambda name, rows: rows @ kernels[name],
            self._constants(cache.seen),
            cache.state,
            self.decoder.inputs(word),
            None,
        )
        return self._logits(hidden, word, context, None), cache._replace(state=state)

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same picture."""
        hidden, memory = cache.state
        return cache._replace(state=(hidden[rows], memory[rows]))

    def _look(self, pictures) -> tuple[State, Seen]:
        """The state that the decoder starts from, of the mean of all cells, and what it reads."""
        values = self.cells(pictures)
        mean = values.mean(1)
        state = jnp.tanh(self.first_hidden(mean)), jnp.tanh(self.first_memory(mean))
        return state, Seen(self.key(values), values)

    def _kernels(self) -> dict[str, Array]:
        """The matrices of the decoder's loop."""
        parts = {"query": self.query, "context": self.context, "gate": self.gate}
        own = {name: part.kernel[...] for name, part in parts.items() if part is not None}
        return own | self.decoder.kernels()

    def _constants(self, seen: Seen) -> tuple[Seen, Array, Array | None]:
        """What else the loop reads."""
        bias = None if self.gate is None or self.gate.bias is None else self.gate.bias[...]
        return seen, self.direction[...], bias

    def _advance(
        self,
        times: Times,
        constants: tuple[Seen, Float[Array, " F"], Float[Array, " 1"] | None],
        state: State,
        x: Float[Array, "B 4*K"],
        heads: Heads | None,
    ) -> tuple[State, tuple[Array, Array, Array]]:
        """Looks, reads and goes on; gives what the logits take, and the weights, [B, S]."""
        seen, v, bias = constants
        hidden, _ = state
        query = times("query", hidden)[:, None, None]
        weights = softmax(additive(query, seen.keys[:, :, None], v=v), None)
        context = weigh(weights, seen.values[:, :, None])
        context = (context if heads is None else heads(ATTENTION, context))[:, 0, 0]
        if bias is not None:
            context *= jax.nn.sigmoid(times("gate", hidden) + bias[None])
        after, hidden = self.decoder.advance(times, None, state, x + times("context", context))
        return after, (hidden, context, weights[:, 0, 0])

    def _logits(self, hidden, word, context, rng) -> Float[Array, "*B V"]:
        """How well each word would follow: the deep output of equation 7."""
        read = word + self.of_state(hidden) + self.of_context(context)
        return self.projection(dropout(read, self.config.dropout, rng))


def unevenness(weights: Float[Array, "B T S"], real: Float[Array, "B T"]) -> Float[Array, ""]:
    """How far the looks at each cell are, over all words of a caption, from one in sum.

    Args:
      weights: of every word to every cell.
      real: 1 for words that count, 0 for padding.

    Returns:
      Σ over pictures and cells of (1 - Σₜ αₜ)²; a picture without words adds nothing.

    Raises:
      ValueError: the shapes do not fit.

    Source: Xu et al. 2015, section 4.2.1, equation 14 ("doubly stochastic attention").
    """
    if weights.ndim != 3 or real.shape != weights.shape[:2]:
        raise ValueError(
            f"weights have shape {list(weights.shape)} and real {list(real.shape)}; [B, T, S] and "
            "[B, T] would fit"
        )
    looks = jnp.sum(weights * real[..., None], axis=1)
    some = (real != 0).any(-1)
    return jnp.sum(jnp.where(some, jnp.square(1 - looks).sum(-1), 0))
