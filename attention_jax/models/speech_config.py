"""The sizes of a Transformer that writes what it hears, published ones among them.

Source: Radford et al. 2022, table 1 (`whisper-tiny`).
"""

from dataclasses import dataclass
from typing import Literal

from attention_jax.models.places import Head, Place
from attention_jax.models.transformer_config import TransformerConfig


@dataclass(frozen=True)
class SpeechConfig:
    """The sizes of an encoder-decoder from sound to text."""

    preset: Literal["digits", "whisper-tiny"] = "digits"
    """the published sizes that the other fields start from; "digits" is this package's own"""
    mels: int = 40
    """bands of the spectrogram"""
    vocabulary: int = 13
    """V: tokens of the text; a task sets it to those of its data"""
    width: int = 64
    """D: features of a position between layers; even"""
    encoder_layers: int = 2
    """layers that read the sound"""
    decoder_layers: int = 2
    """layers that write the text"""
    heads: int = 4
    """H: attention heads a layer; divides the width"""
    feed_forward: int = 256
    """F: features inside the feed-forward sub-layers"""
    context: int = 64
    """the most tokens of a text: rows of the decoder's learned positions"""
    dropout: float = 0.1
    """rate after each sub-layer and on what goes into the first ones; rounded to 1/256"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        for name in ("mels", "context"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.preset not in ("digits", "whisper-tiny"):
            raise ValueError(f"preset is {self.preset!r}; 'digits' or 'whisper-tiny' fits")
        self.layers()  # refuses the others

    def layers(self) -> TransformerConfig:
        """The same sizes as those of a Transformer's layers: normalised in front, as in Whisper."""
        return TransformerConfig(
            vocabulary=self.vocabulary,
            width=self.width,
            encoder_layers=self.encoder_layers,
            decoder_layers=self.decoder_layers,
            heads=self.heads,
            feed_forward=self.feed_forward,
            dropout=self.dropout,
            norm="pre",
        )

    def places(self) -> list[Place]:
        """All attentions: of the encoder, the decoder, and across."""
        return self.layers().places()

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has: the same everywhere."""
        return self.heads

    def every_head(self) -> list[Head]:
        """All heads, place by place."""
        return self.layers().every_head()


PRESETS = {
    "digits": SpeechConfig(),
    "whisper-tiny": SpeechConfig(
        "whisper-tiny",
        mels=80,
        vocabulary=51_865,
        width=384,
        encoder_layers=4,
        decoder_layers=4,
        heads=6,
        feed_forward=1_536,
        context=448,
        dropout=0.0,
    ),
}
"""Ours for digits (0.26 M parameters), and Whisper's smallest (39 M, as published)."""
