"""What made-up pictures are worth, by the words and features of a judge: plain NumPy."""

from typing import Any

import numpy as np


def agreement(intended: Any, recognized: Any, classes: int) -> dict[str, Any]:
    """How often a judge sees what a picture was to show.

    Args:
      intended: labels [N], from 0 to classes - 1.
      recognized: labels [N] that the judge gives.
      classes: how many kinds there are.

    Returns:
      agreement: the share of pictures that are recognized as what they were to be; by_class: the
      same for each intended kind, None where none was; balance: the share of each kind among what
      is recognized; entropy: of that balance, over its most, log(classes): 1 is perfect balance.

    Raises:
      ValueError: the labels are not as many, none, or out of range.
    """
    intended, recognized = np.asarray(intended), np.asarray(recognized)
    if intended.ndim != 1 or intended.shape != recognized.shape or not intended.size:
        raise ValueError(
            f"intended has shape {list(intended.shape)} and recognized {list(recognized.shape)}; "
            "as many labels, at least one, would fit"
        )
    for name, labels in (("intended", intended), ("recognized", recognized)):
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(
                f"{name} has labels from {labels.min()} to {labels.max()}; 0 to {classes - 1} "
                "would fit"
            )
    right = intended == recognized
    kinds = [right[intended == label] for label in range(classes)]
    balance = np.bincount(recognized, minlength=classes) / len(recognized)
    some = balance[balance > 0]
    entropy = -(some * np.log(some)).sum() / np.log(classes) if classes > 1 else 1.0
    return {
        "agreement": float(right.mean()),
        "by_class": [float(found.mean()) if found.size else None for found in kinds],
        "balance": [float(share) for share in balance],
        "entropy": abs(float(entropy)),
    }


def frechet(one: Any, other: Any) -> float:
    """The squared Fréchet distance of two sets of feature rows, each taken as one normal cloud.

    |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2·(Σ₁Σ₂)^½), with covariances over N - 1. Features that differ give
    distances that cannot be compared: those of Inception are the usual ones, and not these.

    Args:
      one: features [N, F].
      other: features [M, F].

    Raises:
      ValueError: they are no rows of as many features, fewer than two, or not finite.

    Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", equation 6.
    """
    rows = [np.asarray(each, np.float64) for each in (one, other)]
    if (
        any(each.ndim != 2 or len(each) < 2 for each in rows)
        or rows[0].shape[1] != rows[1].shape[1]
    ):
        raise ValueError(
            f"found features of shapes {list(rows[0].shape)} and {list(rows[1].shape)}; [N, F] and "
            "[M, F], with at least two rows each, would fit"
        )
    if not all(np.isfinite(each).all() for each in rows):
        raise ValueError("found features that are not finite numbers; finite ones would fit")
    (mean, spread), (other_mean, other_spread) = (_cloud(each) for each in rows)
    root = _root(spread)
    # Σ₁Σ₂ and Σ₁^½·Σ₂·Σ₁^½ have the same eigenvalues, and the latter is symmetric.
    values = np.linalg.eigvalsh(root @ other_spread @ root)
    shared = np.sqrt(np.maximum(values, 0)).sum()
    between = np.square(mean - other_mean).sum()
    return max(0.0, float(between + np.trace(spread) + np.trace(other_spread) - 2 * shared))


def _cloud(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = rows.mean(0)
    centred = rows - mean
    return mean, centred.T @ centred / (len(rows) - 1)


def _root(matrix: np.ndarray) -> np.ndarray:
    """The square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
