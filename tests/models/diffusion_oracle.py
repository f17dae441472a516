"""The Diffusion Transformer once more: NumPy, float64, one picture at a time."""

import math

import numpy as np


def predicted(config, params, picture, time, label):
    """[side, side, channels] for one picture, and the weights of each layer, [L, H, T, T]."""
    params = _wide(params)
    p, many = config.patch, config.side // config.patch
    places = [(row * p, column * p) for row in range(many) for column in range(many)]
    x = np.stack([picture[r : r + p, c : c + p].reshape(-1) for r, c in places])
    x = _affine(x, params["patches"]) + _positions(many, config.width)
    half = config.frequencies // 2
    angles = 1_000 * time * np.array([10_000 ** (-n / half) for n in range(half)])
    steering = _affine(np.concatenate([np.cos(angles), np.sin(angles)]), params["times"]["expand"])
    steering = _affine(_silu(steering), params["times"]["contract"]) + params["labels"][label]
    steering, found = _silu(steering), []
    for layer in range(config.layers):
        own = params["layers"][layer]
        parts = np.split(_affine(steering, own["steer"]), 6)
        y, weights = _attention(config.heads, own["attention"], _norm(x, *parts[:2]))
        x = x + parts[2] * y
        inner = _gelu(_affine(_norm(x, *parts[3:5]), own["feed_forward"]["expand"]))
        x = x + parts[5] * _affine(inner, own["feed_forward"]["contract"])
        found.append(weights)
    shift, scale = np.split(_affine(steering, params["output"]["steer"]), 2)
    x = _affine(_norm(x, shift, scale), params["output"]["pixels"])
    answer = np.zeros(picture.shape)
    for (r, c), patch in zip(places, x, strict=True):
        answer[r : r + p, c : c + p] = patch.reshape(p, p, -1)
    return _solved(config, picture, time, answer), np.stack(found)


def _solved(config, noised, time, answer):
    """What is asked for, where the layers give the picture behind the noise."""
    if not config.through_picture:
        return answer
    angle = math.acos(0.01) * (time + 0.008) / 1.008
    straight = config.predicts == "velocity"
    keep, add = (1 - time, time) if straight else (math.cos(angle), math.sin(angle))
    noise = (noised - keep * answer) / max(add, 0.05)
    return noise - answer if straight else noise


def _positions(many, width):
    quarter = width // 4

    def waves(place):
        angles = [place / 10_000 ** (n / quarter) for n in range(quarter)]
        return [f(angle) for angle in angles for f in (math.sin, math.cos)]

    return np.array([waves(row) + waves(column) for row in range(many) for column in range(many)])


def _attention(heads, params, x):
    query, key, value = (_affine(x, params[name]) for name in ("query", "key", "value"))
    size, outputs, found = query.shape[-1] // heads, [], []
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        scores = query[:, own] @ key[:, own].T / math.sqrt(size)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        outputs.append(weights @ value[:, own])
        found.append(weights)
    return _affine(np.concatenate(outputs, -1), params["output"]), np.stack(found)


def _norm(x, shift, scale):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * (1 + scale) + shift


def _silu(x):
    return x / (1 + np.exp(-x))


def _gelu(x):
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _affine(x, params):
    return x @ params["kernel"] + params["bias"]


def _wide(params):
    if isinstance(params, dict):
        return {name: _wide(value) for name, value in params.items()}
    return np.asarray(params, np.float64)
