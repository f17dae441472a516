"""The sizes of a Self-Attention GAN.

Source: Zhang et al. 2019, "Self-Attention Generative Adversarial Networks".
"""

from dataclasses import dataclass

from attention_jax.models.places import Head, Place


@dataclass(frozen=True)
class SaganConfig:
    """The sizes of a generator, the place "decoder", and a discriminator, the place "encoder"."""

    side: int = 28
    """rows and columns of a picture, a multiple of 4"""
    channels: int = 1
    """numbers a pixel"""
    classes: int = 10
    """kinds of pictures"""
    latent: int = 64
    """numbers that a picture is made from, besides its label"""
    features: int = 16
    """of a pixel; twice as many at half the side, where attention is, and four times at a quarter
    """
    heads: int = 1
    """H: attention heads; the paper has one"""
    head_size: int = 8
    """K: features of a head's queries, keys and values; the paper has an eighth of the features
    that are attended to"""
    generator_rate: float = 0.25
    """what the rate of training is multiplied with for the generator (Heusel et al. 2017)"""

    def __post_init__(self):
        """Refuses sizes that no model can have."""
        names = ("side", "channels", "classes", "latent", "features", "heads", "head_size")
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.side % 4:
            raise ValueError(f"side is {self.side}; a multiple of 4 would fit")
        if not 0 < self.generator_rate < float("inf"):
            raise ValueError(
                f"generator_rate is {self.generator_rate}; a number above 0, such as 0.25, "
                "would fit"
            )

    @property
    def map_side(self) -> int:
        """Rows and columns of the map of features that is attended to."""
        return self.side // 2

    def places(self) -> list[Place]:
        """Both attentions."""
        return [Place("encoder", 0), Place("decoder", 0)]

    def heads_at(self, place: Place) -> int:
        """How many heads an attention has: the same everywhere."""
        return self.heads

    def every_head(self) -> list[Head]:
        """All heads, the discriminator's first."""
        return [Head(*place, head) for place in self.places() for head in range(self.heads)]
