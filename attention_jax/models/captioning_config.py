"""The sizes of the model that writes captions."""

from dataclasses import dataclass, field
from typing import Literal

from attention_jax.models.captioning_layers import CellsConfig
from attention_jax.models.places import Head, Place

ATTENTION = Place("cross", 0)
"""the one attention that there is: the words' to the cells of the picture"""


@dataclass(frozen=True)
class CaptioningConfig:
    """The sizes of Show, Attend and Tell."""

    vocabulary: int = 20
    """V: words and marks; training sets it to the vocabulary's size"""
    cells: CellsConfig = field(default_factory=CellsConfig)
    """what looks at the picture"""
    width: int = 128
    """K: features of the decoder's state"""
    embedding: int = 64
    """D: features of a word, and those that logits are made from"""
    alignment: int = 64
    """features in which a state is compared with a cell"""
    gate: bool = True
    """the state says, by β, how much of what is seen counts"""
    dropout: float = 0.0
    """rate on words and before logits; rounded to 1/256"""
    kind: Literal["captioning"] = field(default="captioning", kw_only=True)
    """which model this is a config of"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        for name in ("vocabulary", "width", "embedding", "alignment"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        if self.kind != "captioning":
            raise ValueError(f"kind is {self.kind!r}; 'captioning' would fit")

    def places(self) -> list[Place]:
        """All attentions: one."""
        return [ATTENTION]

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has: one."""
        return 1

    def every_head(self) -> list[Head]:
        """All heads: one."""
        return [Head(*ATTENTION, 0)]
