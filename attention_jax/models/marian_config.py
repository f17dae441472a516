"""The sizes and parts of a Marian model.

Source: Junczys-Dowmunt et al. 2018; Tiedemann and Thottingal 2020, "OPUS-MT", section 3 (the sizes
that the fields start from).
"""

from dataclasses import dataclass, field
from typing import Literal, get_args, get_type_hints

from attention_jax.models.encoder_decoder_layers import Activation
from attention_jax.models.places import PARTS, Head, Part, Place


@dataclass(frozen=True)
class MarianConfig:
    """The sizes and parts of a Marian model."""

    vocabulary: int = 10_000
    """V: tokens of the joint vocabulary; training sets it to the tokenizer's size"""
    target_vocabulary: int | None = None
    """tokens of the target, where it has a table of its own; None: as many"""
    width: int = 512
    """D: features of a token between layers"""
    encoder_layers: int = 6
    """layers that read the source"""
    decoder_layers: int = 6
    """layers that write the target"""
    encoder_heads: int = 8
    """H: heads of the encoder's attentions; divides the width"""
    decoder_heads: int = 8
    """heads of the decoder's attentions, to itself and to the source; divides the width"""
    encoder_feed_forward: int = 2_048
    """F: features inside the encoder's feed-forward networks"""
    decoder_feed_forward: int = 2_048
    """features inside the decoder's feed-forward networks"""
    activation: Activation = "silu"
    """of the feed-forward networks"""
    context: int = 512
    """tokens of the longest texts that it learned from; longer ones can be read"""
    dropout: float = 0.1
    """rate after each sub-layer and on the embedded tokens; rounded to 1/256"""
    scaled: bool = True
    """embeddings are multiplied by √D"""
    tied: bool = True
    """one table for source tokens, target tokens and logits; else the source has one of its own"""
    padding: int = 0
    """the token that fills sources up, and is never seen in them"""
    kind: Literal["marian"] = field(default="marian", kw_only=True)
    """which model this is a config of"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        sizes = ("vocabulary", "width", "encoder_layers", "decoder_layers", "context")
        for name in (*sizes, "encoder_feed_forward", "decoder_feed_forward"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("encoder_heads", "decoder_heads"):
            if (found := getattr(self, name)) < 1 or self.width % found:
                raise ValueError(f"{name} is {found}; it must divide width, {self.width}")
        if self.width % 2:
            raise ValueError(f"width is {self.width}; sinusoidal positions need an even width")
        target = self.target_vocabulary
        if target is not None and (target < 1 or (self.tied and target != self.vocabulary)):
            raise ValueError(
                f"target_vocabulary is {target}; None would fit"
                + (", as there is one table" if self.tied else ", or at least 1")
            )
        if not 0 <= self.padding < self.vocabulary:
            raise ValueError(
                f"padding is {self.padding}; a token from 0 to {self.vocabulary - 1} would fit"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        hints = get_type_hints(type(self))
        for name in ("kind", "activation"):
            if getattr(self, name) not in (fits := get_args(hints[name])):
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {fits} fits")

    def places(self) -> list[Place]:
        """All attentions: of the encoder, the decoder, and across."""
        return [Place(part, layer) for part in PARTS for layer in range(self._layers(part))]

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has."""
        return self.encoder_heads if place.part == "encoder" else self.decoder_heads

    def every_head(self) -> list[Head]:
        """All heads, place by place."""
        return [
            Head(*place, head) for place in self.places() for head in range(self.heads_at(place))
        ]

    def _layers(self, part: Part) -> int:
        return self.encoder_layers if part == "encoder" else self.decoder_layers
