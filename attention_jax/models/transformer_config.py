"""The sizes of a Transformer, published ones among them.

Source: Vaswani et al. 2017, table 3 (`base`, `big`); Wu et al. 2021 (`tiny`).
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

from attention_jax.models.depth import Remat, known_remat
from attention_jax.models.places import PARTS, Head, Part, Place

Positions = Literal["sinusoidal", "none", "relative", "t5", "rotary", "alibi"]
"""How a model is told where tokens stand: see `modules.RelativeAttention`."""


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of a Transformer."""

    preset: Literal["tiny", "base", "big"] = "tiny"
    """the published sizes that the other fields start from"""
    vocabulary: int = 10_000
    """V: tokens of the joint vocabulary; training sets it to the tokenizer's size"""
    width: int = 128
    """D: features of a token between layers"""
    encoder_layers: int = 4
    """layers that read the source"""
    decoder_layers: int = 4
    """layers that write the target"""
    heads: int = 4
    """H: attention heads a layer; divides the width, unless head_size is given"""
    key_value_heads: int | None = None
    """G: heads of keys and values, shared by groups of heads; divides heads; None: as many"""
    feed_forward: int = 256
    """F: features inside the feed-forward sub-layers"""
    dropout: float = 0.3
    """rate after each sub-layer and on the embedded tokens; rounded to 1/256"""
    norm: Literal["post", "pre"] = "post"
    """layer normalisation after each residual sum (the paper) or before each sub-layer"""
    tied: bool = True
    """one table for source tokens, target tokens and logits; else three"""
    head_size: int | None = None
    """K: features of a head's queries, keys and values; None: width / heads"""
    output_bias: bool = False
    """attention's output projections have a bias, as in most libraries, but not in the paper"""
    encoder_heads: tuple[int, ...] | None = None
    """heads of each encoder layer, where they differ, as after pruning; None: `heads` in all"""
    decoder_heads: tuple[int, ...] | None = None
    """the same of the decoder's attention to itself"""
    cross_heads: tuple[int, ...] | None = None
    """the same of the decoder's attention to the source"""
    positions: Positions = "sinusoidal"
    """added to the embeddings, or told to each self-attention as distances; none: order is lost,
    but for what the decoder's mask hides"""
    reach: int = 16
    """r: relative positions tell distances up to r apart, T5's buckets those up to 8r"""
    remat: bool | Remat = field(default="nothing", kw_only=True)
    """what of each layer training makes again for its gradient, to save memory: everything, for a
    third more arithmetic, or all but the products of matrices"""
    scan: bool = field(default=False, kw_only=True)
    """training compiles one layer of a kind, and runs it as a loop: for deep models, which compile
    slowly; layers with other numbers of heads than their neighbours stay apart"""
    kind: Literal["transformer"] = field(default="transformer", kw_only=True)
    """which model this is a config of"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        object.__setattr__(self, "remat", known_remat(self.remat))
        for name in ("vocabulary", "width", "encoder_layers", "decoder_layers", "feed_forward"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.head_size is not None and (self.head_size < 1 or self.heads < 1):
            raise ValueError(
                f"head_size is {self.head_size} and heads {self.heads}; both must be at least 1"
            )
        if self.head_size is None and (self.heads < 1 or self.width % self.heads):
            fits = [h for h in range(1, self.width + 1) if self.width % h == 0]
            raise ValueError(
                f"heads is {self.heads}, which does not divide width, {self.width}; "
                f"head counts that fit: {', '.join(map(str, fits))}"
            )
        if self.positions == "sinusoidal" and self.width % 2:
            raise ValueError(f"width is {self.width}; sinusoidal positions need an even width")
        groups = self.key_value_heads
        if groups is not None and (groups < 1 or self.heads % groups):
            raise ValueError(f"key_value_heads is {groups}; it must divide heads, {self.heads}")
        for part in PARTS:
            self._check_heads_of(part)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and less than 1")
        presets, norms = ("tiny", "base", "big"), ("post", "pre")
        allowed = {"kind": ("transformer",), "preset": presets, "norm": norms}
        allowed["positions"] = get_args(Positions)
        for name, fits in allowed.items():
            if getattr(self, name) not in fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}; one of {fits} fits")
        self._check_positions()

    @property
    def size_of_head(self) -> int:
        """K, features of a head's queries, keys and values."""
        return self.width // self.heads if self.head_size is None else self.head_size

    def places(self) -> list[Place]:
        """All attentions: of the encoder, the decoder, and across."""
        return [Place(part, layer) for part in PARTS for layer in range(self._layers(part))]

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has."""
        counts = self._heads_of(place.part)
        return self.heads if counts is None else counts[place.layer]

    def every_head(self) -> list[Head]:
        """All heads, place by place."""
        return [
            Head(*place, head) for place in self.places() for head in range(self.heads_at(place))
        ]

    def _layers(self, part: Part) -> int:
        return self.encoder_layers if part == "encoder" else self.decoder_layers

    def _heads_of(self, part: Part) -> tuple[int, ...] | None:
        return getattr(self, f"{part}_heads")

    def _check_positions(self) -> None:
        if self.reach < 2:
            raise ValueError(f"reach is {self.reach}; it must be at least 2")
        if self.positions == "rotary" and self.size_of_head % 2:
            raise ValueError(
                f"positions is 'rotary', which turns pairs of features, and heads have "
                f"{self.size_of_head}; an even head_size would fit"
            )
        unequal = [f"{part}_heads" for part in PARTS[:2] if self._heads_of(part) is not None]
        if self.positions in ("t5", "alibi") and unequal:
            raise ValueError(
                f"positions is {self.positions!r}, which has a bias for each of all heads, and "
                f"{unequal[0]} leaves some out; other positions would fit"
            )

    def _check_heads_of(self, part: Part) -> None:
        counts, layers = self._heads_of(part), self._layers(part)
        if counts is None:
            return
        if self.key_value_heads is not None:
            raise ValueError(f"{part}_heads is {counts}, which needs key_value_heads to be None")
        if len(counts) != layers or min(counts) < 0:
            raise ValueError(
                f"{part}_heads is {counts}; {layers} numbers from 0 up, one a layer, would fit"
            )


PRESETS = {
    "tiny": TransformerConfig(),
    "base": TransformerConfig("base", 37_000, 512, 6, 6, 8, None, 2_048, 0.1),
    "big": TransformerConfig("big", 37_000, 1_024, 6, 6, 16, None, 4_096, 0.3),
}
"""`base` and `big`: Vaswani et al. 2017, table 3; `tiny`: Wu et al. 2021."""
