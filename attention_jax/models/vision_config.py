"""The sizes and parts of a Vision Transformer.

Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", section 3.1 and appendix D.
"""

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from attention_jax.models.places import Head, Place


@dataclass(frozen=True)
class VisionConfig:
    """The sizes and parts of a Vision Transformer, fit for small pictures on a CPU."""

    picture_height: int = 28
    """pixels; a multiple of `patch`"""
    picture_width: int = 28
    """pixels; a multiple of `patch`"""
    channels: int = 1
    """numbers a pixel: 1 for grey, 3 for colours"""
    patch: int = 4
    """pixels along each side of the squares that a picture is cut into"""
    width: int = 64
    """D: features of a patch between layers"""
    layers: int = 4
    """layers, each attention and a feed-forward network"""
    heads: int = 4
    """H: attention heads a layer; divides the width"""
    feed_forward: int = 128
    """F: features inside the feed-forward networks"""
    classes: int = 10
    """V: what a picture may show; 0: the model gives the picture's features instead"""
    summary: Literal["class_token", "mean"] = "class_token"
    """what stands for the picture: a learned row read beside the patches, or the patches' mean"""
    positions: Literal["learned", "sinusoidal"] = "learned"
    """a learned row for each patch, or sines and cosines of its row and of its column"""
    activation: Literal["gelu", "gelu_tanh", "relu"] = "gelu_tanh"
    """of the feed-forward networks; gelu_tanh is close to gelu, and cheaper"""
    qkv_bias: bool = True
    """whether queries, keys and values have a bias"""
    epsilon: float = 1e-6
    """added to the variance by every layer normalisation"""
    dropout: float = 0.1
    """rate after each sub-layer and on the embedded patches; rounded to 1/256"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        names = ("picture_height", "picture_width", "channels", "patch", "width", "layers", "heads")
        for name in (*names, "feed_forward"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("picture_height", "picture_width"):
            if getattr(self, name) % self.patch:
                fits = _divisors(getattr(self, name))
                raise ValueError(
                    f"{name} is {getattr(self, name)}, which patch, {self.patch}, does not divide; "
                    f"patches that fit: {fits}"
                )
        if self.width % self.heads:
            raise ValueError(
                f"heads is {self.heads}, which does not divide width, {self.width}; "
                f"head counts that fit: {_divisors(self.width)}"
            )
        if self.classes < 0:
            raise ValueError(f"classes is {self.classes}; it must be at least 0")
        if self.positions == "sinusoidal" and self.width % 4:
            raise ValueError(
                f"width is {self.width}; sinusoidal positions need a multiple of 4: sine and "
                "cosine, of row and column"
            )
        if not 0 < self.epsilon < 1:
            raise ValueError(f"epsilon is {self.epsilon}; it must be between 0 and 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        hints = get_type_hints(type(self))
        for name in ("summary", "positions", "activation"):
            if getattr(self, name) not in (fits := get_args(hints[name])):
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {fits} fits")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.picture_height // self.patch, self.picture_width // self.patch

    @property
    def rows(self) -> int:
        """T: what a layer reads, the patches and the class token where there is one."""
        return self.grid[0] * self.grid[1] + (self.summary == "class_token")

    def places(self) -> list[Place]:
        """All attentions."""
        return [Place("encoder", layer) for layer in range(self.layers)]

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has: the same everywhere."""
        return self.heads

    def every_head(self) -> list[Head]:
        """All heads, layer by layer."""
        return [Head(*place, head) for place in self.places() for head in range(self.heads)]


def _divisors(number: int) -> str:
    return ", ".join(str(n) for n in range(1, number + 1) if number % n == 0)
