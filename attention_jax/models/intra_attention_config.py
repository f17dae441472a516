"""The sizes of a memory network of LSTMs."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class IntraAttentionConfig:
    """The sizes of an encoder-decoder whose LSTMs attend to all that they remember."""

    kind: Literal["intra_attention"] = "intra_attention"
    """LSTMs with a tape of all their states and attention over it (Cheng, Dong and Lapata 2016)"""
    vocabulary: int = 10_000
    """V: tokens of the joint vocabulary; training sets it to the tokenizer's size"""
    width: int = 256
    """K: features of a hidden state, and of a memory"""
    embedding: int | None = None
    """E: features of a token; None: width"""
    attention: int | None = None
    """features in which a query and a key are compared; None: width"""
    layers: int = 1
    """layers that read the source, and as many that write the target"""
    fusion: Literal["shallow", "deep"] = "shallow"
    """the source is read beside the decoder's states, or by its gates, into every layer's memory"""
    dropout: float = 0.2
    """rate on embedded tokens, between layers and in front of the logits; rounded to 1/256"""
    tied: bool = False
    """one table for source tokens, target tokens and logits; else three"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        for name in ("vocabulary", "width", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("embedding", "attention"):
            found = getattr(self, name)
            if found is not None and found < 1:
                raise ValueError(f"{name} is {found}; 1 or more, or None, would fit")
        for name, fits in (("kind", ("intra_attention",)), ("fusion", ("shallow", "deep"))):
            if getattr(self, name) not in fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {fits} fits")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")

    @property
    def size_of_token(self) -> int:
        """E, features of a token."""
        return self.width if self.embedding is None else self.embedding

    @property
    def size_of_query(self) -> int:
        """Features in which a query and a key are compared."""
        return self.width if self.attention is None else self.attention
