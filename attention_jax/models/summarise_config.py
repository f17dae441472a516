"""The sizes of a decoder-only Transformer for long texts, and which attention each layer has.

Source: Liu et al. 2018, section 4.2.3 (blocks of 256 tokens, kernel and stride of 3, the layers
LMLML: local, memory-compressed, and so on in turn).
"""

from dataclasses import dataclass
from typing import Literal, get_args

from attention_jax.models.places import Head, Place

Sight = Literal["local", "compressed", "full"]
"""What a row of a layer sees of the rows up to its own: those of its block, all of them through
slots of several rows each, or every one."""


@dataclass(frozen=True)
class SummariseConfig:
    """The sizes of a decoder-only Transformer that reads a long text and writes a short one."""

    kind: Literal["summarise"] = "summarise"
    """one sequence of text and summary, with local and compressed attention (Liu et al. 2018)"""
    vocabulary: int = 8_000
    """V: tokens of texts and summaries; training sets it to the tokenizer's size"""
    width: int = 128
    """D: features of a token between layers"""
    heads: int = 4
    """H: attention heads a layer; divides the width"""
    feed_forward: int = 512
    """F: features inside the feed-forward sub-layers"""
    sights: tuple[Sight, ...] = ("local", "compressed", "local", "compressed", "local")
    """a layer each: "local" (in blocks), "compressed" (all, in slots), "full" (all, one by one)"""
    block: int = 256
    """tokens of a block, of which a local layer's rows see those up to their own"""
    slot: int = 3
    """W: tokens that a compressed layer makes one key and one value of"""
    dropout: float = 0.1
    """rate after each sub-layer and on the embedded tokens; rounded to 1/256"""
    tied: bool = True
    """one table for tokens and logits; else two"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        for name in ("vocabulary", "width", "heads", "feed_forward", "block", "slot"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.width % self.heads:
            fits = [h for h in range(1, self.width + 1) if self.width % h == 0]
            raise ValueError(
                f"heads is {self.heads}, which does not divide width, {self.width}; "
                f"head counts that fit: {', '.join(map(str, fits))}"
            )
        if self.width % 2:
            raise ValueError(f"width is {self.width}; sinusoidal positions need an even width")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        if self.kind != "summarise":
            raise ValueError(f"kind is {self.kind!r}; 'summarise' fits")
        known = get_args(Sight)
        if not self.sights or any(sight not in known for sight in self.sights):
            raise ValueError(f"sights is {self.sights}; at least one layer, each of {known}, fits")

    @property
    def size_of_head(self) -> int:
        """K, features of a head's queries, keys and values."""
        return self.width // self.heads

    def places(self) -> list[Place]:
        """All attentions."""
        return [Place("decoder", layer) for layer in range(len(self.sights))]

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has: the same everywhere."""
        return self.heads

    def every_head(self) -> list[Head]:
        """All heads, layer by layer."""
        return [Head(*place, head) for place in self.places() for head in range(self.heads)]
