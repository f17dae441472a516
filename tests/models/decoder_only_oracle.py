"""The decoder-only Transformer once more: NumPy, float64, one text at a time, no padding at all."""

import math

import numpy as np


def logits(config, params, tokens):
    """[T, V] for one text, and the weights of each layer, [L, H, T, T]."""
    params = _wide(params)
    table, width, found = params["embedding"]["table"], config.width, []
    x = table[tokens]
    places = np.arange(len(tokens))
    if config.positions == "learned":
        x = x + params["positions"][places]
    if config.positions == "sinusoidal":
        angles = places[:, None] / 10_000 ** (np.arange(0, width, 2) / width)
        sines = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(len(tokens), width)
        x = x * math.sqrt(width) + sines
    for layer in range(config.layers):
        own = params["layers"][layer]
        y, weights = _attention(
            config, own["attention"], _norm(config, x, own["attention_norm"]), places
        )
        x = x + y
        x = x + _network(config, own["feed_forward"], _norm(config, x, own["feed_forward_norm"]))
        found.append(weights)
    x = _norm(config, x, params["norm"])
    return (x @ table.T if config.tied else _affine(x, params["projection"])), np.stack(found)


def _attention(config, params, x, places):
    size, outputs, found = config.size_of_head, [], []
    query, key, value = (_affine(x, params[name]) for name in ("query", "key", "value"))
    far = places[:, None] - places[None]
    seen = (far >= 0) & (far < (config.window or len(places)))
    for head in range(config.heads):
        group = head * config.groups // config.heads
        one, other = (slice(i * size, (i + 1) * size) for i in (head, group))
        q, k = query[:, one], key[:, other]
        if config.positions == "rotary":
            q, k = (_turned(rows, places, config.base) for rows in (q, k))
        scores = np.where(seen, q @ k.T / math.sqrt(size), -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        outputs.append(weights @ value[:, other])
        found.append(weights)
    return _affine(np.concatenate(outputs, -1), params["output"]), np.stack(found)


def _turned(x, places, base):
    """Pairs of features as complex numbers, each turned by its angle."""
    half = x.shape[-1] // 2
    turns = np.exp(1j * places[:, None] / base ** (np.arange(half) / half))
    z = (x[:, :half] + 1j * x[:, half:]) * turns
    return np.concatenate([z.real, z.imag], -1)


def _network(config, params, x):
    y = _affine(x, params["expand"])
    if config.activation == "gelu_exact":
        y = y / 2 * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))
    elif config.activation == "gelu":
        y = y / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
    else:
        gate = _affine(x, params["gate"])
        y = gate / (1 + np.exp(-gate)) * y
    return _affine(y, params["contract"])


def _norm(config, x, params):
    if "bias" not in params:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + config.epsilon) * params["scale"]
    x = x - x.mean(-1, keepdims=True)
    return (
        x / np.sqrt((x**2).mean(-1, keepdims=True) + config.epsilon) * params["scale"]
        + params["bias"]
    )


def _affine(x, params):
    return x @ params["kernel"] + params.get("bias", 0)


def _wide(params):
    if isinstance(params, dict):
        return {name: _wide(value) for name, value in params.items() if value is not None}
    return np.asarray(params, np.float64)
