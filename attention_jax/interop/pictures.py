"""Pretrained models of pictures, and what they take a picture for."""

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from attention_jax.models.vision import VisionTransformer


@dataclass(frozen=True)
class PretrainedVision:
    """A pretrained model of pictures.

    Attributes:
      name: of the folder.
      model: of pictures [B, height, width, channels], with the numbers that the folder's
        preprocessor_config.json makes of pixels, such as from -1 to 1.
      labels: what a picture may show, a name for each logit.
    """

    name: str
    model: VisionTransformer
    labels: tuple[str, ...] = ()

    def shows(
        self, pictures: Float[np.ndarray, "B height width channels"]
    ) -> list[tuple[str, float]]:
        """What each picture most likely shows, and how likely it is by the model.

        Raises:
          ValueError: the model tells no classes apart, or the pictures are of another size.
        """
        if not self.labels:
            raise ValueError("the model has no classes; model(pictures) gives features")
        graph, params = nnx.split(self.model, nnx.Param)
        shares = np.asarray(_shares(graph, params, pictures))
        best = shares.argmax(-1)
        return [(self.labels[one], float(row[one])) for one, row in zip(best, shares, strict=True)]


@partial(jax.jit, static_argnums=0)
def _shares(graph, params, pictures):
    return jax.nn.softmax(nnx.merge(graph, params)(pictures))
