"""The sizes of a Universal Transformer.

Source: Dehghani et al. 2018, section 2.
"""

from dataclasses import dataclass, field
from typing import Literal

from attention_jax.models.places import PARTS, Head, Place
from attention_jax.models.transformer_config import Positions, TransformerConfig


@dataclass(frozen=True)
class UniversalConfig:
    """The sizes of a Universal Transformer."""

    vocabulary: int = 10_000
    """V: tokens of the joint vocabulary; training sets it to the tokenizer's size"""
    width: int = 128
    """D: features of a token between steps; even"""
    encoder_steps: int = 4
    """how often the one encoder layer is applied; with halting, at most"""
    decoder_steps: int = 4
    """how often the one decoder layer is applied; with halting, at most"""
    heads: int = 4
    """H: attention heads; divides the width, unless head_size is given"""
    feed_forward: int = 256
    """F: features inside the transition function"""
    dropout: float = 0.3
    """rate after each sub-layer and on the embedded tokens; rounded to 1/256"""
    norm: Literal["post", "pre"] = "post"
    """layer normalisation after each residual sum (the paper) or before each sub-layer"""
    tied: bool = True
    """one table for source tokens, target tokens and logits; else three"""
    head_size: int | None = None
    """K: features of a head's queries, keys and values; None: width / heads"""
    positions: Positions = "sinusoidal"
    """as of a Transformer; those that are added are added before every step, as the time is"""
    reach: int = 16
    """r: relative positions tell distances up to r apart, T5's buckets those up to 8r"""
    halting: Literal["none", "act"] = "none"
    """whether each position says when it has been computed often enough"""
    epsilon: float = 0.01
    """ε: a position halts when its probabilities sum to 1 - ε"""
    time_penalty: float = 0.01
    """τ: what a position's ponder cost adds to the loss, a target token, in nats a step"""
    kind: Literal["universal"] = field(default="universal", kw_only=True)
    """which model this is a config of"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        for name in ("encoder_steps", "decoder_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name, fits in (("kind", ("universal",)), ("halting", ("none", "act"))):
            if getattr(self, name) not in fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {fits} fits")
        if not 0 < self.epsilon < 1:
            raise ValueError(f"epsilon is {self.epsilon}; above 0 and less than 1 would fit")
        if not 0 <= self.time_penalty < 1:
            raise ValueError(
                f"time_penalty is {self.time_penalty}; it must be at least 0 and less than 1"
            )
        _ = self.layer  # refuses the rest
        if self.width % 2:
            raise ValueError(f"width is {self.width}; the sinusoids of time need an even width")

    @property
    def layer(self) -> TransformerConfig:
        """The config of the one encoder layer and the one decoder layer."""
        return TransformerConfig(
            vocabulary=self.vocabulary,
            width=self.width,
            encoder_layers=1,
            decoder_layers=1,
            heads=self.heads,
            feed_forward=self.feed_forward,
            dropout=self.dropout,
            norm=self.norm,
            tied=self.tied,
            head_size=self.head_size,
            positions=self.positions,
            reach=self.reach,
        )

    def places(self) -> list[Place]:
        """All attentions, each step of depth apart: of the encoder, the decoder, and across."""
        counts = self.encoder_steps, self.decoder_steps, self.decoder_steps
        return [
            Place(part, step)
            for part, count in zip(PARTS, counts, strict=True)
            for step in range(count)
        ]

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has: the same heads at every step."""
        return self.heads

    def every_head(self) -> list[Head]:
        """All heads, place by place."""
        return [Head(*place, head) for place in self.places() for head in range(self.heads)]
