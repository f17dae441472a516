"""The sizes and parts of a decoder-only Transformer, published ones among them.

Source: Radford et al. 2019 (`gpt2`); Touvron et al. 2023, "Llama 2", and 2023, "LLaMA", table 2
(`7b`); Karpathy 2023, nanoGPT, the settings for a CPU and a GPU in its README (`gpt-shakespeare`).
"""

from dataclasses import dataclass, field
from typing import Literal, get_args, get_type_hints

from attention_jax.functional.rotary import BASE
from attention_jax.models.depth import Remat, known_remat
from attention_jax.models.places import Head, Place


@dataclass(frozen=True)
class DecoderOnlyConfig:
    """The sizes and parts of a decoder-only Transformer."""

    preset: Literal["small", "gpt-shakespeare", "gpt-shakespeare-large", "gpt2", "7b"] = "small"
    """the published sizes that the other fields start from"""
    vocabulary: int = 65
    """V: tokens; training sets it to the tokenizer's size"""
    width: int = 128
    """D: features of a token between layers"""
    layers: int = 4
    """layers, each attention and a feed-forward network"""
    heads: int = 4
    """H: attention heads a layer; divides the width, unless head_size is given"""
    key_value_heads: int | None = None
    """G: heads of keys and values, shared by groups of heads; divides heads; None: as many"""
    head_size: int | None = None
    """K: features of a head's queries, keys and values; None: width / heads"""
    feed_forward: int = 512
    """F: features inside the feed-forward networks"""
    context: int = 256
    """tokens of a text; learned positions have no more, the others any number"""
    dropout: float = 0.0
    """rate after each sub-layer and on the embedded tokens; rounded to 1/256"""
    positions: Literal["learned", "sinusoidal", "rotary"] = "learned"
    """added to the embeddings, or turning queries and keys"""
    norm: Literal["layer", "rms"] = "layer"
    """normalisation in front of each sub-layer and at the end"""
    activation: Literal["gelu", "gelu_exact", "swiglu"] = "gelu"
    """of the feed-forward networks; gelu is the form with the hyperbolic tangent, gelu_exact what
    that is close to; swiglu has a gate, a third kernel"""
    bias: bool = False
    """all affine maps but the last have a bias"""
    window: int | None = None
    """how many tokens a token sees, itself and those right before it; None: all before it"""
    tied: bool = True
    """one table for tokens and logits; else two"""
    remat: bool | Remat = "nothing"
    """what of each layer training makes again for its gradient, to save memory: everything, for a
    third more arithmetic, or all but the products of matrices"""
    qkv_bias: bool | None = field(default=None, kw_only=True)
    """the maps to queries, keys and values have a bias; None: as `bias` says"""
    scan: bool = field(default=False, kw_only=True)
    """training compiles one layer, and runs it as a loop: for deep models, which compile slowly"""
    output_bias: bool | None = field(default=None, kw_only=True)
    """attention's output projections have a bias; None: as `bias` says"""
    base: float = field(default=BASE, kw_only=True)
    """rotary positions turn the slowest pair of features once in nearly base·2π tokens"""
    epsilon: float = field(default=1e-6, kw_only=True)
    """added to the variance, or to the mean square, by every normalisation"""
    padding: int = field(default=0, kw_only=True)
    """the token that fills rows up, and is never seen; -1, which is none of the vocabulary, where
    every token may stand in a text"""
    kind: Literal["decoder_only"] = field(default="decoder_only", kw_only=True)
    """which model this is a config of"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        object.__setattr__(self, "remat", known_remat(self.remat))
        for name in ("vocabulary", "width", "layers", "heads", "feed_forward", "context"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("head_size", "window"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1, or None")
        if self.head_size is None and self.width % self.heads:
            fits = [h for h in range(1, self.width + 1) if self.width % h == 0]
            raise ValueError(
                f"heads is {self.heads}, which does not divide width, {self.width}; "
                f"head counts that fit: {', '.join(map(str, fits))}"
            )
        groups = self.key_value_heads
        if groups is not None and (groups < 1 or self.heads % groups):
            raise ValueError(f"key_value_heads is {groups}; it must divide heads, {self.heads}")
        if self.positions == "sinusoidal" and self.width % 2:
            raise ValueError(f"width is {self.width}; sinusoidal positions need an even width")
        if self.positions == "rotary" and self.size_of_head % 2:
            raise ValueError(
                f"heads have {self.size_of_head} features; rotary positions need an even number"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        if not self.base > 1:
            raise ValueError(f"base is {self.base}; more than 1 would fit")
        if not 0 < self.epsilon < 1:
            raise ValueError(f"epsilon is {self.epsilon}; a number between 0 and 1 would fit")
        if not -1 <= self.padding < self.vocabulary:
            raise ValueError(
                f"padding is {self.padding}; a token from 0 to {self.vocabulary - 1}, or -1 for "
                "none of them, would fit"
            )
        hints = get_type_hints(type(self))
        for name in ("kind", "preset", "positions", "norm", "activation"):
            if getattr(self, name) not in (fits := get_args(hints[name])):
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {fits} fits")

    @property
    def size_of_head(self) -> int:
        """K, features of a head's queries, keys and values."""
        return self.width // self.heads if self.head_size is None else self.head_size

    @property
    def groups(self) -> int:
        """G, heads of keys and values."""
        return self.heads if self.key_value_heads is None else self.key_value_heads

    def places(self) -> list[Place]:
        """All attentions."""
        return [Place("decoder", layer) for layer in range(self.layers)]

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has: the same everywhere."""
        return self.heads

    def every_head(self) -> list[Head]:
        """All heads, layer by layer."""
        return [Head(*place, head) for place in self.places() for head in range(self.heads)]


PRESETS = {
    "small": DecoderOnlyConfig(),
    "gpt-shakespeare": DecoderOnlyConfig("gpt-shakespeare", vocabulary=65, context=64),
    "gpt-shakespeare-large": DecoderOnlyConfig(
        "gpt-shakespeare-large",
        width=384,
        layers=6,
        heads=6,
        feed_forward=1_536,
        dropout=0.2,
    ),
    "gpt2": DecoderOnlyConfig(
        "gpt2",
        vocabulary=50_257,
        width=768,
        layers=12,
        heads=12,
        feed_forward=3_072,
        context=1_024,
        dropout=0.1,
        bias=True,
    ),
    "7b": DecoderOnlyConfig(
        "7b",
        vocabulary=32_000,
        width=4_096,
        layers=32,
        heads=32,
        feed_forward=11_008,
        context=4_096,
        positions="rotary",
        norm="rms",
        activation="swiglu",
        tied=False,
        remat="everything",
    ),
}
"""Those of nanoGPT for Shakespeare on a CPU (0.8 M parameters; `small` is the same with room for a
source and its translation) and on a GPU (10.7 M), GPT-2's smallest (124 M), and that of Llama 2 7B
(6.74 G)."""
