"""The Vision Transformer in NumPy float64, one picture and one head at a time."""

import math

import numpy as np

ERF = np.vectorize(math.erf)


def logits(config, params, picture):
    """What `VisionTransformer` gives one picture [height, width, channels]."""
    size, rows = config.patch, []
    for top in range(0, config.picture_height, size):
        for left in range(0, config.picture_width, size):
            square = picture[top : top + size, left : left + size]
            pixels = [number for line in square for pixel in line for number in pixel]
            rows.append(affine(np.array(pixels, np.float64), params["patches"]))
    positions = positions_of(config)
    if config.summary == "class_token":
        rows.insert(0, np.float64(params["token"][0]))
        positions = np.concatenate([np.zeros((1, config.width)), positions])
    if config.positions == "learned":
        positions = np.float64(params["positions"])
    x = np.array(rows) + positions
    for layer in params["layers"].values():
        x = x + attention(config, layer["attention"], norm(x, layer["residuals"][0], config))
        inner = affine(norm(x, layer["residuals"][1], config), layer["feed_forward"]["expand"])
        x = x + affine(ACTIVATIONS[config.activation](inner), layer["feed_forward"]["contract"])
    x = norm(x, params, config)
    summary = x[0] if config.summary == "class_token" else x.mean(0)
    return affine(summary, params["head"]) if config.classes else summary


def attention(config, params, x):
    query, key, value = (affine(x, params[name]) for name in ("query", "key", "value"))
    features, outputs = config.width // config.heads, []
    for head in range(config.heads):
        cut = slice(head * features, (head + 1) * features)
        scores = query[:, cut] @ key[:, cut].T / math.sqrt(features)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        outputs.append(weights / weights.sum(-1, keepdims=True) @ value[:, cut])
    return affine(np.concatenate(outputs, -1), params["output"])


def norm(x, params, config):
    centred = x - x.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + config.epsilon)
    return normal * np.float64(params["norm"]["scale"]) + np.float64(params["norm"]["bias"])


def affine(x, params):
    return x @ np.float64(params["kernel"]) + np.float64(params.get("bias", 0.0))


def positions_of(config):
    """Of each patch, row by row: sine and cosine of its row at each rate, then of its column."""
    found = []
    for row in range(config.picture_height // config.patch):
        for column in range(config.picture_width // config.patch):
            features = []
            for place in (row, column):
                for i in range(config.width // 4):
                    angle = place / 10_000 ** (2 * i / (config.width / 2))
                    features += [math.sin(angle), math.cos(angle)]
            found.append(features)
    return np.array(found)


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (1 + ERF(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
}
