"""The sizes and variants of Luong's model."""

from dataclasses import dataclass
from typing import Literal, get_args

Score = Literal["dot", "scaled_dot", "general", "concat", "location"]
Looking = Literal["global", "local_m", "local_p"]


@dataclass(frozen=True)
class LuongConfig:
    """The sizes and variants of Luong's model; in the paper 4 layers of width 1,000."""

    kind: Literal["luong"] = "luong"
    """which model this is"""
    vocabulary: int = 10_000
    """V: tokens of the joint vocabulary; training sets it to the tokenizer's size"""
    width: int = 256
    """K: features of a hidden state; a bidirectional encoder has half of them in each direction"""
    embedding: int | None = None
    """D: features of a token; None: width"""
    layers: int = 1
    """layers of the encoder, and of the decoder, which starts from their final states"""
    bidirectional: bool = False
    """the encoder reads in both directions, which is not in the paper"""
    reverse_source: bool = False
    """the encoder reads from the source's end to its start; weights stand where tokens stand"""
    score: Literal["dot", "scaled_dot", "general", "concat", "location"] = "general"
    """how a state is compared with a source position; scaled_dot is not in the paper"""
    attention: Literal["global", "local_m", "local_p"] = "global"
    """reads from all of the source, from around the same position, or around a predicted one"""
    reach: int = 10
    """D: how far from its centre local attention sees"""
    input_feeding: bool = True
    """what was read at a step goes into the next one too; without it all steps read at once"""
    max_source: int = 256
    """positions, padding too, that the score `location` has rows for; longer sources are refused"""
    dropout: float = 0.3
    """rate on embedded tokens, between layers and in front of the logits; rounded to 1/256"""
    tied: bool = True
    """one table for source tokens and target tokens, and for logits where embedding is width"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        for name in ("vocabulary", "width", "embedding", "layers", "reach", "max_source"):
            if (size := getattr(self, name)) is not None and size < 1:
                raise ValueError(f"{name} is {size}; it must be at least 1")
        if self.bidirectional and self.width % 2:
            raise ValueError(
                f"width is {self.width}; two directions of a bidirectional encoder need an even one"
            )
        if self.bidirectional and self.reverse_source:
            raise ValueError(
                "reverse_source is True with bidirectional, which reads in both directions anyway; "
                "one of the two would fit"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        for name, fits in (
            ("kind", ("luong",)),
            ("score", get_args(Score)),
            ("attention", get_args(Looking)),
        ):
            if getattr(self, name) not in fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {fits} fits")

    @property
    def token_size(self) -> int:
        """D, features of a token."""
        return self.width if self.embedding is None else self.embedding
