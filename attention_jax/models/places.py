"""Names for the attentions of a Transformer, and for their heads."""

from typing import Literal, NamedTuple

Part = Literal["encoder", "decoder", "cross"]

PARTS: tuple[Part, ...] = ("encoder", "decoder", "cross")
"""The encoder's self-attention, the decoder's, and the decoder's attention to the source."""


class Place(NamedTuple):
    """One attention of a model; layers are counted from 0."""

    part: Part
    layer: int

    def __str__(self) -> str:
        return f"{self.part} layer {self.layer + 1}"


class Head(NamedTuple):
    """One head of a model; layers and heads are counted from 0."""

    part: Part
    layer: int
    head: int

    @property
    def place(self) -> Place:
        """The attention that it is a head of."""
        return Place(self.part, self.layer)

    def __str__(self) -> str:
        return f"{self.place} head {self.head + 1}"
