"""The sizes and parts of an encoder-only Transformer.

Source: Devlin et al. 2019, "BERT", section 3 (the sizes that the fields start from: BERT base).
"""

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from attention_jax.models.places import Head, Place


@dataclass(frozen=True)
class EncoderOnlyConfig:
    """The sizes and parts of an encoder-only Transformer."""

    vocabulary: int = 30_522
    """V: tokens"""
    width: int = 768
    """D: features of a token between layers"""
    layers: int = 12
    """layers, each attention and a feed-forward network"""
    heads: int = 12
    """H: attention heads a layer; divides the width"""
    feed_forward: int = 3_072
    """F: features inside the feed-forward networks"""
    context: int = 512
    """learned positions, so the most tokens of a text"""
    types: int = 2
    """kinds of tokens, as of a first and a second sentence; 0: none are told apart"""
    padding: int = 0
    """the token that fills rows up, and is never seen"""
    activation: Literal["gelu", "gelu_tanh", "relu"] = "gelu"
    """of the feed-forward networks; gelu_tanh is close to gelu, and cheaper"""
    epsilon: float = 1e-12
    """added to the variance by every layer normalisation"""
    dropout: float = 0.1
    """rate after each sub-layer and on the embedded tokens; rounded to 1/256"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        for name in ("vocabulary", "width", "layers", "heads", "feed_forward", "context"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.width % self.heads:
            fits = [h for h in range(1, self.width + 1) if self.width % h == 0]
            raise ValueError(
                f"heads is {self.heads}, which does not divide width, {self.width}; "
                f"head counts that fit: {', '.join(map(str, fits))}"
            )
        if self.types < 0:
            raise ValueError(f"types is {self.types}; it must be at least 0")
        if not 0 <= self.padding < self.vocabulary:
            raise ValueError(
                f"padding is {self.padding}; a token from 0 to {self.vocabulary - 1} would fit"
            )
        if not 0 < self.epsilon < 1:
            raise ValueError(f"epsilon is {self.epsilon}; it must be between 0 and 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        if self.activation not in (fits := get_args(get_type_hints(type(self))["activation"])):
            raise ValueError(f"activation is {self.activation!r}; one of {fits} fits")

    def places(self) -> list[Place]:
        """All attentions."""
        return [Place("encoder", layer) for layer in range(self.layers)]

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has: the same everywhere."""
        return self.heads

    def every_head(self) -> list[Head]:
        """All heads, layer by layer."""
        return [Head(*place, head) for place in self.places() for head in range(self.heads)]
