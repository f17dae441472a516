"""The Transformer that hears once more: NumPy, float64, one sound at a time, no padding."""

import math

import numpy as np


def logits(config, params, frames, text):
    """[T, V] for one sound and text, and the weights of the attentions across, [L, H, T, S]."""
    x = _gelu(_convolved(np.asarray(frames, np.float64), params["first"]))
    x = _gelu(_convolved(x, params["second"]))[::2]
    places = np.arange(len(x))
    angles = places[:, None] / 10_000 ** (np.arange(0, config.width, 2) / config.width)
    x = x + np.stack([np.sin(angles), np.cos(angles)], -1).reshape(len(x), -1)
    for layer in range(config.encoder_layers):
        own = params["encoder"][layer]
        y = _norm(x, own["residuals"][0]["norm"])
        x = x + _attention(config, own["attention"], y, y, False)[0]
        x = x + _network(own["feed_forward"], _norm(x, own["residuals"][1]["norm"]))
    memory = _norm(x, params["encoder_norm"])
    table, found = params["embedding"]["table"].astype(np.float64), []
    x = table[text] * math.sqrt(config.width) + params["positions"][: len(text)]
    for layer in range(config.decoder_layers):
        own = params["decoder"][layer]
        y = _norm(x, own["residuals"][0]["norm"])
        x = x + _attention(config, own["attention"], y, y, True)[0]
        y = _norm(x, own["residuals"][1]["norm"])
        y, weights = _attention(config, own["cross"], y, memory, False)
        x = x + y
        x = x + _network(own["feed_forward"], _norm(x, own["residuals"][2]["norm"]))
        found.append(weights)
    return _norm(x, params["decoder_norm"]) @ table.T, np.stack(found)


def _convolved(x, params):
    """Row t reads rows t - 1, t and t + 1."""
    rows = []
    for t in range(len(x)):
        row = params["bias"].astype(np.float64)
        for w, matrix in enumerate(params["kernel"]):
            if 0 <= t + w - 1 < len(x):
                row = row + x[t + w - 1] @ matrix
        rows.append(row)
    return np.stack(rows)


def _gelu(x):
    """In the form with the hyperbolic tangent."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _attention(config, params, x, source, causal):
    size, outputs, found = config.width // config.heads, [], []
    query, key, value = (
        rows @ params[name]["kernel"]
        for rows, name in ((x, "query"), (source, "key"), (source, "value"))
    )
    for head in range(config.heads):
        mine = slice(head * size, (head + 1) * size)
        scores = query[:, mine] @ key[:, mine].T / math.sqrt(size)
        if causal:
            scores[np.triu_indices(len(x), 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        outputs.append(weights @ value[:, mine])
        found.append(weights)
    return np.concatenate(outputs, -1) @ params["output"]["kernel"], np.stack(found)


def _network(params, x):
    return _affine(np.maximum(_affine(x, params["expand"]), 0), params["contract"])


def _norm(x, params):
    centred = x - x.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return normal * params["scale"] + params["bias"]


def _affine(x, params):
    return x @ params["kernel"] + params["bias"]
