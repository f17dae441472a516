"""Attention as loops over NumPy float64 numbers: slow, plain, and written from the papers alone."""

from collections.abc import Callable

import numpy as np

Match = Callable[[np.ndarray, np.ndarray, int], float]
Sees = Callable[[int, int, int, int], bool]


def dot(query: np.ndarray, key: np.ndarray, head: int) -> float:
    return sum(float(a) * float(b) for a, b in zip(query, key, strict=True))


def scaled_dot(query: np.ndarray, key: np.ndarray, head: int) -> float:
    return dot(query, key, head) / len(query) ** 0.5


def additive(v: np.ndarray) -> Match:
    def match(query: np.ndarray, key: np.ndarray, head: int) -> float:
        direction = np.asarray(v if v.ndim == 1 else v[head], np.float64)
        return float(np.sum(direction * np.tanh(query + key)))

    return match


def softmax(logits: list[float]) -> list[float]:
    if not logits:
        return []
    peak = max(logits)
    shares = [np.exp(logit - peak) for logit in logits]
    return [share / sum(shares) for share in shares]


def attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    *,
    match: Match,
    normalize: Callable[[list[float]], list[float]],
    sees: Sees,
    bias: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Output `[*B, T, H, E]`, weights `[*B, H, T, S]`; in `sees(b, h, t, s)` b counts flat."""
    *batch, length, heads, features = query.shape
    sources, groups, out = value.shape[-3:]
    query = np.asarray(query, np.float64).reshape(-1, length, heads, features)
    key = np.asarray(key, np.float64).reshape(-1, sources, groups, features)
    value = np.asarray(value, np.float64).reshape(-1, sources, groups, out)
    rows = len(query)
    if bias is not None:
        bias = np.broadcast_to(bias, (*batch, heads, length, sources))
        bias = bias.reshape(rows, heads, length, sources)
    output = np.zeros((rows, length, heads, out))
    weights = np.zeros((rows, heads, length, sources))
    for b in range(rows):
        for h in range(heads):
            g = h // (heads // groups)
            for t in range(length):
                seen = [s for s in range(sources) if sees(b, h, t, s)]
                logits = [
                    match(query[b, t, h], key[b, s, g], h)
                    + (0.0 if bias is None else float(bias[b, h, t, s]))
                    for s in seen
                ]
                for s, weight in zip(seen, normalize(logits), strict=True):
                    weights[b, h, t, s] = weight
                    output[b, t, h] += weight * value[b, s, g]
    return (
        output.reshape(*batch, length, heads, out),
        weights.reshape(*batch, heads, length, sources),
    )
