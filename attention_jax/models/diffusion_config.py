"""The sizes of a Diffusion Transformer.

Source: Peebles and Xie 2023, "Scalable Diffusion Models with Transformers", table 1.
"""

from dataclasses import dataclass
from typing import Literal

from attention_jax.models.places import Head, Place


@dataclass(frozen=True)
class DiffusionConfig:
    """The sizes of a Diffusion Transformer, and what it is asked for."""

    side: int = 28
    """rows and columns of a picture"""
    channels: int = 1
    """numbers a pixel"""
    classes: int = 10
    """kinds of pictures; one label more, of this number, means that none is given"""
    patch: int = 7
    """rows and columns of a patch; divides the side"""
    width: int = 128
    """D: features of a patch between layers; a multiple of 4, for positions in two directions"""
    layers: int = 4
    """layers, each attention and a feed-forward network"""
    heads: int = 4
    """H: attention heads a layer; divides the width"""
    feed_forward: int = 512
    """F: features inside the feed-forward networks"""
    frequencies: int = 128
    """waves that a time is written in; half of them sines"""
    predicts: Literal["velocity", "noise"] = "velocity"
    """ε - x on the straight way from a picture x to noise ε (rectified flow), or ε on the cosine's
    (DDPM)"""
    through_picture: bool = True
    """the layers give the picture x, and what is asked for is solved for; else they give it
    themselves, as in the paper"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        names = ("side", "channels", "classes", "patch", "width", "layers", "heads")
        for name in (*names, "feed_forward"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.side % self.patch:
            fits = [size for size in range(1, self.side + 1) if self.side % size == 0]
            raise ValueError(
                f"patch is {self.patch}, which does not divide side, {self.side}; "
                f"sizes that fit: {', '.join(map(str, fits))}"
            )
        if self.width % 4:
            raise ValueError(f"width is {self.width}; a multiple of 4 would fit")
        if self.width % self.heads:
            fits = [h for h in range(1, self.width + 1) if self.width % h == 0]
            raise ValueError(
                f"heads is {self.heads}, which does not divide width, {self.width}; "
                f"head counts that fit: {', '.join(map(str, fits))}"
            )
        if self.frequencies < 2 or self.frequencies % 2:
            raise ValueError(
                f"frequencies is {self.frequencies}; an even number from 2 up would fit"
            )
        if self.predicts not in ("velocity", "noise"):
            raise ValueError(f"predicts is {self.predicts!r}; velocity or noise would fit")

    @property
    def patches(self) -> int:
        """T: patches of a picture."""
        return (self.side // self.patch) ** 2

    def places(self) -> list[Place]:
        """All attentions."""
        return [Place("encoder", layer) for layer in range(self.layers)]

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has: the same everywhere."""
        return self.heads

    def every_head(self) -> list[Head]:
        """All heads, layer by layer."""
        return [Head(*place, head) for place in self.places() for head in range(self.heads)]
