"""The sizes of the model that answers questions about pictures."""

from dataclasses import dataclass, field
from typing import Literal

from attention_jax.models.captioning_layers import CellsConfig
from attention_jax.models.places import Head, Place


@dataclass(frozen=True)
class VisualQuestionConfig:
    """The sizes of a Transformer over a question whose layers look at a picture."""

    vocabulary: int = 34
    """V: words of questions, and marks; training sets it to the vocabulary's size"""
    answers: int = 17
    """words that an answer can be; training sets it to their number"""
    length: int = 9
    """tokens that a question may have, the mark before it included"""
    cells: CellsConfig = field(default_factory=CellsConfig)
    """what looks at the picture"""
    width: int = 64
    """D: features of a word between layers"""
    layers: int = 3
    """layers, each of which reads the question, then the picture"""
    heads: int = 4
    """H: heads of every attention; divides the width"""
    feed_forward: int = 128
    """F: features inside the feed-forward sub-layers"""
    dropout: float = 0.0
    """rate after each sub-layer and on embedded words; rounded to 1/256"""
    kind: Literal["visual_question"] = field(default="visual_question", kw_only=True)
    """which model this is a config of"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        for name in ("vocabulary", "answers", "length", "width", "layers", "feed_forward"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.heads < 1 or self.width % self.heads:
            fits = [h for h in range(1, self.width + 1) if self.width % h == 0]
            raise ValueError(
                f"heads is {self.heads}, which does not divide width, {self.width}; "
                f"head counts that fit: {', '.join(map(str, fits))}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        if self.kind != "visual_question":
            raise ValueError(f"kind is {self.kind!r}; 'visual_question' would fit")

    def places(self) -> list[Place]:
        """All attentions: of the question to itself, and of the question to the picture."""
        layers = range(self.layers)
        return [Place(part, layer) for part in ("encoder", "cross") for layer in layers]

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has: the same everywhere."""
        return self.heads

    def every_head(self) -> list[Head]:
        """All heads, place by place."""
        return [Head(*place, head) for place in self.places() for head in range(self.heads)]
