"""The Self-Attention GAN once more: NumPy, float64, one picture at a time, exact norms."""

import numpy as np


def made(config, params, latent, label):
    """The picture [side, side, channels] of one row of latent numbers, and weights [H, T, T]."""
    own = _wide(params)["generator"]
    named = _normal(own["labels"]["table"])[label] * config.latent**0.5
    style, side = np.concatenate([latent, named]), config.side // 4
    x = _affine(style, own["begin"]).reshape(side, side, -1)
    x = _growing(x, style, own["first"])
    x, weights = _attention(config.heads, x, own["attention"])
    x = np.maximum(_growing(x, style, own["second"]), 0)
    return np.tanh(_convolution(x, own["pixels"])), weights


def judged(config, params, picture, label):
    """How real one picture looks, and the weights [H, T, T]."""
    own = _wide(params)["discriminator"]
    x = _shrinking(picture, own["first"], first=True, halve=True)
    x, weights = _attention(config.heads, x, own["attention"])
    x = _shrinking(x, own["second"], first=False, halve=True)
    x = _shrinking(x, own["third"], first=False, halve=False)
    x = np.maximum(x, 0).sum((0, 1))
    return _affine(x, own["real"])[0] + _normal(own["labels"]["table"])[label] @ x, weights


def _growing(x, style, own):
    y = _doubled(np.maximum(_styled(x, style, own["first_norm"]), 0))
    y = np.maximum(_styled(_convolution(y, own["first"]), style, own["second_norm"]), 0)
    return _convolution(y, own["second"]) + _affine(_doubled(x), own["short"])


def _shrinking(x, own, *, first, halve):
    y = _convolution(x if first else np.maximum(x, 0), own["first"])
    y = _convolution(np.maximum(y, 0), own["second"])
    x = _affine(x, own["short"])
    return _halved(x) + _halved(y) if halve else x + y


def _attention(heads, x, own):
    rows, size, outputs, found = x.reshape(-1, x.shape[-1]), None, [], []
    query, key, value = (rows @ _normal(own["attention"][name]["kernel"]) for name in
                         ("query", "key", "value"))  # fmt: skip
    size = query.shape[-1] // heads
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = query[:, part] @ key[:, part].T
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        outputs.append(weights @ value[:, part])
        found.append(weights)
    read = np.concatenate(outputs, -1) @ _normal(own["attention"]["output"]["kernel"])
    return x + own["gamma"] * read.reshape(x.shape), np.stack(found)


def _styled(x, style, own):
    scale, shift = np.split(_affine(style, own["style"]), 2)
    x = x - x.mean((0, 1))
    return (1 + scale) * x / np.sqrt((x**2).mean((0, 1)) + 1e-5) + shift


def _convolution(x, own):
    kernel, padded = _normal(own["kernel"]), np.pad(x, ((1, 1), (1, 1), (0, 0)))
    rows, columns, _ = x.shape
    answer = np.zeros((rows, columns, kernel.shape[-1])) + own["bias"]
    for row in range(rows):
        for column in range(columns):
            near = padded[row : row + 3, column : column + 3]
            answer[row, column] += np.einsum("ijd,ijdp->p", near, kernel)
    return answer


def _doubled(x):
    return x.repeat(2, 0).repeat(2, 1)


def _halved(x):
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


def _affine(x, own):
    return x @ _normal(own["kernel"]) + own["bias"]


def _normal(kernel):
    flat = kernel.reshape(-1, kernel.shape[-1])
    return kernel / np.linalg.svd(flat, compute_uv=False)[0]


def _wide(params):
    if isinstance(params, dict):
        return {name: _wide(value) for name, value in params.items() if value is not None}
    return np.asarray(params, np.float64)
