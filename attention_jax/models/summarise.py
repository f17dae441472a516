"""The decoder-only Transformer for long texts: a text, then its summary, as one sequence.

Layers that look at their own block alone take turns with layers that look at everything through
slots of several tokens each, so that time and memory grow more slowly than with the square of the
length.

Source: Liu, Saleh, Pot, Goodrich, Sepassi, Kaiser and Shazeer, *Generating Wikipedia by Summarizing
Long Sequences*, 2018 (T-DMCA, without its mixture of experts).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import attend, scaled_dot
from attention_jax.functional.layers import dropout
from attention_jax.functional.rotary import BASE, angles
from attention_jax.functional.scores import Score
from attention_jax.models.places import Place
from attention_jax.models.summarise_config import Sight, SummariseConfig
from attention_jax.models.summarise_layers import Kept, SummariseLayer
from attention_jax.models.transformer_layers import Arrange, Pass, as_it_is
from attention_jax.modules import Dense, Embedding, LayerNorm
from attention_jax.modules.attention import Attend

__all__ = ["Cache", "Sight", "Summarise", "SummariseConfig", "summary_to_text"]


class Cache(NamedTuple):
    """What decoding keeps between target positions; every array leads with the batch."""

    layers: tuple[Kept, ...]
    position: Int[Array, " B"]
    """where each row's next token stands in its sequence"""


class Summarise(nnx.Module):
    """From a text and a summary to logits for each next token of the summary.

    Token 0 is padding: it is never seen, and may stand only at the end of a text and of a summary.
    Inside, each row's summary stands right behind its text, and padding behind both, so that where
    blocks and slots begin does not depend on it.
    """

    def __init__(self, config: SummariseConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        self.embedding = Embedding(config.vocabulary, config.width, rngs=rngs)
        layers = range(len(config.sights))
        self.layers = nnx.List([SummariseLayer(config, layer, rngs) for layer in layers])
        self.norm = LayerNorm(config.width)
        if not config.tied:
            sizes = config.width, config.vocabulary
            self.projection = Dense(*sizes, bias=False, letters="D V", rngs=rngs)

    def __call__(
        self,
        source: Int[Array, "B S"],
        target_in: Int[Array, "B T"],
        *,
        rng: Array | None = None,
        explain: bool | Callable[[Place, Array], Any] = False,
        heads: Callable[[Place, Array], Array] | None = None,
        score: Score = scaled_dot,
        attend: Attend = attend,
        arrange: Arrange = as_it_is,
    ):
        """Logits for every target position at once.

        Args:
          source: the text, padding (0) at the end.
          target_in: the summary, shifted right by a start mark.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives the attention weights. A function is given every place and its
            weights [B, H, S+T, S+T], and only what it returns is kept. In them each row's summary
            stands right behind its text, and padding behind both; see `summary_to_text`. Of a
            compressed layer, a slot's weight is shared alike by the tokens that it was made of, and
            the first rows, which no whole slot precedes, see nothing. The logits stay the same.
          heads: is given every place and what its heads give there, [B, S+T, H, K], and returns
            what goes into the output projection instead: to gate heads, to replace them, to look.
          score: of all attentions.
          attend: computes all attentions, called as `functional.attend`; of local layers with an
            axis of blocks behind that of the batch.
          arrange: called with activations and their letters; says where they lie on devices.

        Returns:
          Logits [B, T, V]; with `explain` the pair (logits, what is kept by `Place`).
        """
        look = (lambda _, weights: weights) if explain is True else explain or None
        one = Pass(look, heads, score, attend, arrange)
        streams = self._streams(rng)
        lengths = (source != 0).sum(-1, dtype=jnp.int32)
        tokens = _joined(source, target_in, lengths)
        x = one.arrange(self._embed(tokens, jnp.arange(tokens.shape[1])[None]), "B T D")
        x = dropout(x, self.config.dropout, streams.pop())
        for layer in self.layers:
            x, _ = layer(x, (streams.pop(), streams.pop()), one)
        places = lengths[:, None] + jnp.arange(target_in.shape[1])[None]
        x = jnp.take_along_axis(x, places[..., None], axis=1, mode="promise_in_bounds")
        logits = arrange(self._logits(x), "B T V")
        return logits if look is None else (logits, one.found)

    def start(self, source: Int[Array, "B S"], length: int) -> Cache:
        """Reads the text once and makes room for `length` tokens of the summary."""
        lengths = (source != 0).sum(-1, dtype=jnp.int32)
        x, kept = self._embed(source, jnp.arange(source.shape[1])[None]), []
        for layer in self.layers:
            x, sources = layer(x, (None, None), Pass())
            kept.append(layer.keep(sources, lengths, source.shape[1] + length))
        return Cache(tuple(kept), lengths)

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the cache's positions; gives the logits of the next ones.

        A cache takes as many steps as `start` made room for; one more would overwrite the last.
        """
        position, kept = cache.position, []
        x = self._embed(tokens[:, None], position[:, None])
        for layer, before in zip(self.layers, cache.layers, strict=True):
            x, after = layer.step(x, before, position)
            kept.append(after)
        return self._logits(x)[:, 0], Cache(tuple(kept), position + 1)

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same source."""
        return jax.tree.map(lambda leaf: leaf[rows], cache)

    def _embed(self, tokens: Int[Array, "B T"], positions: Int[Array, "*B T"]):
        x = self.embedding.embed(tokens)
        x = x + _sinusoids(positions, self.config.width).astype(x.dtype)
        # Nobody reads padding, but the backward pass multiplies what it holds by zero.
        return jnp.where((tokens != 0)[..., None], x, 0)

    def _streams(self, rng: Array | None) -> list:
        """One key for each place of dropout, taken from the end."""
        places = 1 + 2 * len(self.layers)
        return [None] * places if rng is None else list(jax.random.split(rng, places))

    def _logits(self, x: Float[Array, "*B D"]) -> Float[Array, "*B V"]:
        x = self.norm(x)
        return self.embedding.logits(x) if self.config.tied else self.projection(x)


def summary_to_text(
    weights: Float[Array, "B H N N"], source: Int[Array, "B S"]
) -> Float[Array, "B H T S"]:
    """What the summary's rows give to the text's tokens, as cross-attention does elsewhere.

    A row also attends to the summary before it, so what stands here sums to one at most.

    Args:
      weights: of one attention over both, N = S + T, as `explain` gives them.
      source: as the model was given it, padding at the end; zeros stand there.
    """
    real = source != 0
    rows = real.sum(-1)[:, None] + jnp.arange(weights.shape[2] - source.shape[1])[None]
    found = jnp.take_along_axis(weights, rows[:, None, :, None], axis=2)[..., : source.shape[1]]
    return jnp.where(real[:, None, None], found, 0)


def _joined(source, target_in, lengths: Int[Array, " B"]) -> Int[Array, "B S+T"]:
    """Each row's text and summary without a gap between them, padding behind both."""
    tokens = jnp.concatenate([source, target_in], axis=1)
    places = jnp.arange(tokens.shape[1])[None]
    gap = source.shape[1] - lengths[:, None]
    found = jnp.where(places < lengths[:, None], places, places + gap)
    return jnp.take_along_axis(tokens, found, axis=1, mode="fill", fill_value=0)


def _sinusoids(positions: Int[Array, "*B T"], width: int) -> Float[Array, "*B T D"]:
    """The rows of `functional.positions.sinusoidal` at positions that may be traced."""
    turned = angles(positions, width, "width", base=BASE)
    return jnp.stack([jnp.sin(turned), jnp.cos(turned)], -1).reshape(*positions.shape, width)
