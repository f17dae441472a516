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
from attention_jax.functional.recall import recall
from attention_jax.functional.scores import Score
from attention_jax.models.decoder_only_config import PRESETS, DecoderOnlyConfig
from attention_jax.models.decoder_only_layers import SPREAD, DecoderOnlyLayer, Past, normalisation
from attention_jax.models.decoder_only_sequence import positions_in, to_the_front
from attention_jax.models.depth import depth, in_a_row
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

    The source may be empty, [B, 0]: then this is a plain language model. The token `config.padding`
    is never seen, and may stand only at the end of a source and of a target. Inside, padding is
    moved to the front of each source, so that source and target meet: places then differ from
    positions by a number for each row, and every mask is one that places tell.
    """

    def __init__(self, config: DecoderOnlyConfig, *, rngs: nnx.Rngs):
        """Makes all parameters from `rngs.params`."""
        self.config = config
        width, tokens = config.width, config.vocabulary
        self.embedding = Embedding(tokens, width, rngs=rngs)
        if config.positions != "sinusoidal":
            # As GPT-2 begins; wider rows would first of all say that a token follows itself.
            self.embedding.table[...] *= SPREAD * width**0.5
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
        segments: Int[Array, "B T"] | None = None,
        rng: Array | None = None,
        explain: bool | Callable[[Place, Array], Any] = False,
        heads: Callable[[Place, Array], Array] | None = None,
        score: Score = scaled_dot,
        attend: Attend = attend,
        arrange: Arrange = as_it_is,
    ):
        """Logits for every target position at once.

        Args:
          source: what the target follows, padding (`config.padding`) at the end; S may be 0.
          target_in: the target, shifted right by a start mark.
          segments: of several texts packed into one target, which text each token belongs to, from
            1 on, and 0 for padding. The tokens of a text stand side by side; they see that text
            alone, and its positions begin anew. The source must then be empty.
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
          ValueError: the sequence has more tokens than there are learned positions, or segments
            do not fit the target, or stand beside a source.
        """
        look = (lambda _, weights: weights) if explain is True else explain or None
        one = Pass(look, heads, score, attend, arrange)
        length = source.shape[1]
        source, padding = to_the_front(source, self.config.padding)
        tokens = jnp.concatenate([source, target_in], axis=1)
        self._check(tokens.shape[1])
        if segments is None:
            positions, mask = self._stand(tokens.shape[1], padding if length else None)
        else:
            _check_segments(segments, source, target_in)
            positions, mask = positions_in(segments), self._before(0) & Segments(segments)
        x = self._enter(tokens, positions, tokens.shape[1], one)
        streams = self._streams(rng)
        x = dropout(x, self.config.dropout, streams.pop())
        rngs = [(streams.pop(), streams.pop()) for _ in self.layers]

        def further(layer, x, own):
            return layer(x, positions, mask, own, one)[0]

        x = in_a_row(self.layers, x, further, rngs, **depth(self.config, one))
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
        source, padding = to_the_front(source, self.config.padding)
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
        position, room = cache.position, cache.keys[0].shape[1]
        # One query at a time takes its past as it is; a whole source is read as any other.
        one = Pass(attend=recall) if tokens.shape[1] == 1 else Pass()
        positions, mask = self._stand(tokens.shape[1], cache.padding, position, room)
        x = self._enter(tokens, positions, room, one)
        keys, values = [], []
        for layer, *kept in zip(self.layers, cache.keys, cache.values, strict=True):
            past = Past(kept[0], kept[1], position)
            x, key, value = layer(x, positions, mask, (None, None), one, past)
            keys.append(key)
            values.append(value)
        return x, Cache(tuple(keys), tuple(values), cache.padding, position + tokens.shape[1])

    def _stand(
        self,
        length: int,
        padding: Int[Array, " B"] | None,
        begin: int | Int[Array, ""] = 0,
        room: int | None = None,
    ) -> tuple[Int[Array, "*B T"], Mask]:
        """The positions of the tokens from place `begin` on, and what they see.

        `padding` is None where there is surely none; `room` is how many places there are in all.
        """
        places, mask = begin + jnp.arange(length), self._before(begin)
        if padding is None:
            return places, mask
        front = padding[:, None]
        # Segments and not lengths: padding sees padding, so that no row is without a source.
        ends = places, jnp.arange(length if room is None else room)
        mask &= Segments(*((at[None] >= front).astype(jnp.int32) for at in ends))
        return jnp.maximum(places[None] - front, 0), mask

    def _before(self, begin: int | Int[Array, ""]) -> Mask:
        """How far tokens see: two of a text are as far apart in places as in positions."""
        window = self.config.window
        return Causal(begin) if window is None else Window(window - 1, 0, begin)

    def _enter(self, tokens, positions, room: int, one: Pass) -> Float[Array, "B T D"]:
        """Rows for the layers, of tokens at these positions, of which there are `room`."""
        x, real = self._embed(tokens, positions, room), tokens != self.config.padding
        # Nobody reads padding, but the backward pass multiplies what it holds by zero.
        return one.arrange(jnp.where(real[..., None], x, 0), "B T D")

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


def _check_segments(segments: Array, source: Array, target: Array) -> None:
    if segments.shape != target.shape or source.shape[1]:
        raise ValueError(
            f"segments have shape {list(segments.shape)}, beside a source of {source.shape[1]} "
            f"tokens and a target of shape {list(target.shape)}; the target's shape, and an empty "
            "source, would fit"
        )
