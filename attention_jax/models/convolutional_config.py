"""The sizes of a convolutional encoder-decoder, and how far its layers see."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ConvolutionalConfig:
    """The sizes of a convolutional encoder-decoder; four and three layers are those of IWSLT."""

    kind: Literal["convolutional"] = "convolutional"
    """gated convolutions with an attention in every decoder layer (Gehring et al. 2017)"""
    vocabulary: int = 10_000
    """V: tokens of the joint vocabulary; training sets it to the tokenizer's size"""
    width: int = 256
    """D: features of a position between layers"""
    embedding: int | None = None
    """E: features of a token, and of what attention compares; None: width"""
    encoder_layers: int = 4
    """convolutions that read the source"""
    decoder_layers: int = 3
    """convolutions that write the target, each with its attention"""
    kernel: int = 3
    """W: how many neighbouring rows a convolution reads"""
    positions: int = 1_024
    """rows of the learned positions: the longest source and the longest target"""
    dropout: float = 0.2
    """rate on embedded tokens, in front of convolutions and of the logits; rounded to 1/256"""
    tied: bool = False
    """one table for source tokens, target tokens and logits; else three"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        sizes = ("vocabulary", "width", "encoder_layers", "decoder_layers", "kernel", "positions")
        for name in sizes:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.kind != "convolutional":
            raise ValueError(f"kind is {self.kind!r}; 'convolutional' fits")
        if self.embedding is not None and self.embedding < 1:
            raise ValueError(f"embedding is {self.embedding}; 1 or more, or None, would fit")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")

    @property
    def size_of_token(self) -> int:
        """E, features of a token."""
        return self.width if self.embedding is None else self.embedding


def receptive_field(
    config: ConvolutionalConfig,
    part: Literal["encoder", "decoder"] = "encoder",
    layer: int | None = None,
) -> int:
    """How many neighbouring tokens a row depends on through convolutions: 1 + layers·(W - 1).

    It grows with depth alone: two tokens n apart meet after n / (W - 1) layers, where a recurrence
    takes n steps and attention one. The encoder's rows see half of it to either side, the
    decoder's see it before them; what a decoder row reads of the source by attention is apart.

    Args:
      config: has the layers and the kernel.
      part: of the source's tokens, or of the target's.
      layer: the rows that this layer gives, counted from 0; None: the last one's.

    Raises:
      ValueError: there is no such part or layer.

    Source: Gehring et al. 2017, section 3.2.
    """
    layers = {"encoder": config.encoder_layers, "decoder": config.decoder_layers}
    if part not in layers:
        raise ValueError(f"part is {part!r}; one of {tuple(layers)} fits")
    layer = layers[part] - 1 if layer is None else layer
    if not 0 <= layer < layers[part]:
        raise ValueError(f"layer is {layer}; 0 to {layers[part] - 1} would fit the {part}")
    return 1 + (layer + 1) * (config.kernel - 1)
