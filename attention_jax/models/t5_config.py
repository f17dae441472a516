"""The sizes and parts of a T5.

Source: Raffel et al. 2020, section 3.1.1 and the text-to-text Transformers published with it
(`t5-small`, which the fields start from).
"""

from dataclasses import dataclass, field
from typing import Literal, get_args, get_type_hints

from attention_jax.models.places import PARTS, Head, Part, Place


@dataclass(frozen=True)
class T5Config:
    """The sizes and parts of a T5."""

    vocabulary: int = 32_128
    """V: tokens; training sets it to the tokenizer's size"""
    width: int = 512
    """D: features of a token between layers"""
    encoder_layers: int = 6
    """layers that read the source"""
    decoder_layers: int = 6
    """layers that write the target"""
    heads: int = 8
    """H: attention heads a layer"""
    head_size: int = 64
    """K: features of a head's queries, keys and values"""
    feed_forward: int = 2_048
    """F: features inside the feed-forward networks"""
    activation: Literal["relu", "silu", "gated_relu", "gated_silu", "gated_gelu"] = "relu"
    """of the feed-forward networks; since version 1.1 (gated_gelu, the form with the hyperbolic
    tangent) they have a gate, a third kernel"""
    buckets: int = 32
    """kinds of distances that attention tells apart"""
    max_distance: int = 128
    """tokens; all from here on are one kind"""
    epsilon: float = 1e-6
    """added to the mean square by every normalisation"""
    dropout: float = 0.1
    """rate after each sub-layer, on the embedded tokens and behind the last layers; rounded to
    1/256"""
    tied: bool = True
    """one table for tokens and logits; else two, as since version 1.1"""
    scaled: bool = True
    """rows are divided by √D before logits are made of them, as before version 1.1"""
    padding: int = 0
    """the token that fills sources up, and is never seen in them"""
    kind: Literal["t5"] = field(default="t5", kw_only=True)
    """which model this is a config of"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        sizes = ("vocabulary", "width", "encoder_layers", "decoder_layers", "heads", "head_size")
        for name in (*sizes, "feed_forward"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.buckets < 4 or self.buckets % 2:
            raise ValueError(f"buckets is {self.buckets}; an even number, 4 or more, would fit")
        if self.max_distance <= self.buckets // 2:
            raise ValueError(
                f"max_distance is {self.max_distance}; more than {self.buckets // 2} would fit, "
                f"half of the buckets, {self.buckets}"
            )
        if not 0 <= self.padding < self.vocabulary:
            raise ValueError(
                f"padding is {self.padding}; a token from 0 to {self.vocabulary - 1} would fit"
            )
        if not 0 < self.epsilon < 1:
            raise ValueError(f"epsilon is {self.epsilon}; a number between 0 and 1 would fit")
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
        """How many heads an attention has: the same everywhere."""
        return self.heads

    def every_head(self) -> list[Head]:
        """All heads, place by place."""
        return [Head(*place, head) for place in self.places() for head in range(self.heads)]

    def _layers(self, part: Part) -> int:
        return self.encoder_layers if part == "encoder" else self.decoder_layers
