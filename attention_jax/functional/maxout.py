"""Maxout: the largest of a few affine maps in place of a fixed nonlinearity."""

from jaxtyping import Array, Float


def maxout(x: Float[Array, "*B F"], pieces: int = 2) -> Float[Array, "*B D"]:
    """The largest of each `pieces` features that stand side by side; D is F / pieces.

    Args:
      x: what an affine map gave, `pieces` numbers for each feature that comes out.
      pieces: how many compete.

    Raises:
      ValueError: `pieces` does not divide F.

    Source: Goodfellow et al. 2013, equation 1; with pairs, the readout of Cho et al. 2014 (appendix
      A) and Bahdanau et al. 2015 (appendix A.2.2).
    """
    features = x.shape[-1]
    if pieces < 1 or features % pieces:
        raise ValueError(f"maxout: pieces is {pieces}; it must divide the {features} features of x")
    return x.reshape(*x.shape[:-1], features // pieces, pieces).max(-1)
