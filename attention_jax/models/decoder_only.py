"""The decoder-only Transformer: one sequence, every token of which sees what came before it.

In its first form it has learned positions, layer normalisation and a GELU network; options make it
the form of today: rotary positions, RMS normalisation, SwiGLU, grouped heads, sliding windows.

Source: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", and
2019, "Language Models are Unsupervised Multitask Learners"; Touvron et al. 2023, "LLaMA".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.functional import attend, scaled_dot
from attention_jax.functional.layers import dropout
from attention_jax.functional.masks import Causal, Mask, Segments, Window
from attention_jax.functional.positions import learned, sinusoidal
from attention_jax.functional.scores import Score
from attention_jax.models.decoder_only_config import PRESETS, DecoderOnlyConfig
from attention_jax.models.decoder_only_layers import SPREAD, DecoderOnlyLayer, Past, normalisation
from attention_jax.models.places import Place
from attention_jax.models.transformer_layers import Arrange, Pass, as_it_is
from attention_jax.modules import Dense, Embedding
from attention_jax.modules.attention import Attend

__all__ = ["PRESETS", "Cache", "DecoderOnly", "DecoderOnlyConfig"]


class Cache(NamedTuple):
    """What decoding keeps between target positions; every array leads with the batch.

    One entry a layer in `keys` and `values`. The position, shared by all rows, is a scalar: it
    counts the padding, which stands in front of each row's source.
    """

    keys: tuple[Float[Array, "B T G K"], ...]
    values: tuple[Float[Array, "B T G K"], ...]
    padding: Int[Array, " B"]
    position: Int[Array, ""]


class DecoderOnly(nnx.Module):
    """From one sequence, a source and then a target, to logits for each next target token.

    The source may be empty, [B, 0]: then this is a plain language model. Token 0 is padding: it is
    never seen, and may stand only at the end of a source and of a target. Inside, padding is moved
    to the front of each source, so that source and target meet: places then differ from positions
    by a number for each row, and every mask is one that places tell.
    """

    def __init__(self, config: DecoderOnlyConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width, tokens = config.width, config.vocabulary
        self.embedding = Embedding(tokens, width, rngs=rngs)
        if config.positions == "learned":
            table = SPREAD * jax.random.normal(rngs.params(), (config.context, width))
            self.positions = nnx.Param(table, letters="L D")
        self.layers = nnx.List(
            [DecoderOnlyLayer(config, layer, rngs) for layer in range(config.layers)]
        )
        self.norm = normalisation(config)
        if not config.tied:
            self.projection = Dense(width, tokens, bias=False, letters="D V", rngs=rngs)

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
          source: what the target follows, padding (0) at the end; S may be 0.
          target_in: the target, shifted right by a start mark.
          rng: a `jax.random` key switches dropout on.
          explain: True also gives the attention weights. A function is given every place and its
            weights [B, H, S+T, S+T], and only what it returns is kept. In them each row's source
            stands right before its target, its padding in front. The logits stay the same.
          heads: is given every place and what its heads give there, [B, S+T, H, K], and returns
            what goes into the output projection instead.
          score: of all attentions.
          attend: computes all attentions, called as `functional.attend`: to spread long ones.
          arrange: called with activations and their letters; says where they lie on devices.

        Returns:
          Logits [B, T, V]; with `explain` the pair (logits, weights [L, B, H, S+T, S+T]), or, for a
          function, (logits, what it returned by `Place`).

        Raises:
          ValueError: the sequence has more tokens than there are learned positions.
        """
        look = (lambda _, weights: weights) if explain is True else explain or None
        one = Pass(look, heads, score, attend, arrange)
        length = source.shape[1]
        source, padding = _to_the_front(source)
        tokens = jnp.concatenate([source, target_in], axis=1)
        self._check(tokens.shape[1])
        x, positions, mask = self._enter(tokens, padding if length else None, one)
        streams = self._streams(rng)
        x = dropout(x, self.config.dropout, streams.pop())
        # Layers that are run again for their gradient would show `explain` and `heads` two passes.
        again = self.config.remat and look is None and heads is None
        for layer in self.layers:

            def further(x, rngs, layer=layer):
                return layer(x, positions, mask, rngs, one)[0]

            further = jax.checkpoint(further) if again else further
            x = further(x, (streams.pop(), streams.pop()))
        logits = arrange(self._logits(x[:, length:]), "B T V")
        if look is None:
            return logits
        return logits, jnp.stack(list(one.found.values())) if explain is True else one.found

    def start(self, source: Int[Array, "B S"], length: int) -> Cache:
        """Reads the source once and makes room for `length` target positions.

        Raises:
          ValueError: source and target are to have more tokens than there are learned positions.
        """
        config, (rows, read) = self.config, source.shape
        self._check(read + length)
        source, padding = _to_the_front(source)
        shape = rows, read + length, config.groups, config.size_of_head
        empty = (jnp.zeros(shape, self.embedding.table[...].dtype),) * config.layers
        cache = Cache(empty, empty, padding, jnp.int32(0))
        return self._continue(cache, source)[1] if read else cache

    def step(self, cache: Cache, tokens: Int[Array, " B"]) -> tuple[Float[Array, "B V"], Cache]:
        """Takes the tokens at the cache's position; gives the logits of the next ones.

        A cache takes as many steps as `start` made room for; one more would overwrite the last.
        """
        x, cache = self._continue(cache, tokens[:, None])
        return self._logits(x)[:, 0], cache

    def reorder(self, cache: Cache, rows: Int[Array, " B"]) -> Cache:
        """The cache after row i went on from row `rows[i]` of the same source."""
        keys, values = jax.tree.map(lambda leaf: leaf[rows], (cache.keys, cache.values))
        return cache._replace(keys=keys, values=values)

    def _continue(self, cache: Cache, tokens) -> tuple[Float[Array, "B T D"], Cache]:
        """The next tokens through all layers, and the cache with them."""
        one, position, room = Pass(), cache.position, cache.keys[0].shape[1]
        x, positions, mask = self._enter(tokens, cache.padding, one, position, room)
        keys, values = [], []
        for layer, *kept in zip(self.layers, cache.keys, cache.values, strict=True):
            past = Past(kept[0], kept[1], position)
            x, key, value = layer(x, positions, mask, (None, None), one, past)
            keys.append(key)
            values.append(value)
        return x, Cache(tuple(keys), tuple(values), cache.padding, position + tokens.shape[1])

    def _enter(
        self,
        tokens: Int[Array, "B T"],
        padding: Int[Array, " B"] | None,
        one: Pass,
        begin: int | Int[Array, ""] = 0,
        room: int | None = None,
    ) -> tuple[Float[Array, "B T D"], Int[Array, "*B T"], Mask]:
        """Rows for the layers, their positions, and the mask; for tokens from place `begin` on.

        `padding` is None where there is surely none; `room` is how many places there are in all.
        """
        length = tokens.shape[1]
        room = length if room is None else room
        places = begin + jnp.arange(length)
        window = self.config.window
        # How far apart two tokens of a text stand is the same in places and in positions.
        mask: Mask = Causal(begin) if window is None else Window(window - 1, 0, begin)
        positions = places
        if padding is not None:
            front = padding[:, None]
            positions = jnp.maximum(places[None] - front, 0)
            # Segments and not lengths: padding sees padding, so that no row is without a source.
            ends = places, jnp.arange(room)
            mask &= Segments(*((at[None] >= front).astype(jnp.int32) for at in ends))
        x = self._embed(tokens, positions, room)
        # Nobody reads padding, but the backward pass multiplies what it holds by zero.
        return one.arrange(jnp.where((tokens != 0)[..., None], x, 0), "B T D"), positions, mask

    def _embed(self, tokens, positions, room: int) -> Float[Array, "B T D"]:
        if self.config.positions == "sinusoidal":
            x = self.embedding.embed(tokens)
            rows = sinusoidal(room, self.config.width, dtype=x.dtype)[positions]
        else:
            x = self.embedding.table[...][tokens]
            if self.config.positions == "rotary":
                return x
            rows = learned(self.positions[...], positions)
        return x + rows.reshape(-1, *x.shape[1:])

    def _streams(self, rng: Array | None) -> list:
        """One key for each place of dropout, taken from the end."""
        places = 1 + 2 * self.config.layers
        return [None] * places if rng is None else list(jax.random.split(rng, places))

    def _check(self, length: int) -> None:
        if self.config.positions == "learned" and length > self.config.context:
            raise ValueError(
                f"the sequence has {length} tokens, source and target together, but learned "
                f"positions end with context, {self.config.context}; fewer tokens, or rotary or "
                "sinusoidal positions, would fit"
            )

    def _logits(self, x) -> Float[Array, "B T V"]:
        x = self.norm(x)
        return self.embedding.logits(x) if self.config.tied else self.projection(x)


def _to_the_front(source: Int[Array, "B S"]) -> tuple[Int[Array, "B S"], Int[Array, " B"]]:
    """The source with each row's padding moved to its front, and how much that is."""
    padding = (source == 0).sum(-1, dtype=jnp.int32)
    length = source.shape[1]
    places = (jnp.arange(length)[None] - padding[:, None]) % max(length, 1)
    return jnp.take_along_axis(source, places, axis=1), padding
