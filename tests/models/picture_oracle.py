"""The models that look at pictures once more: plain NumPy in float64, cell by cell, word by word.

Written from the papers' equations, one picture at a time and without padding, so that nothing here
is masked, batched, scanned or laid out for products. Parameters are those of the models, by the
same names.
"""

import numpy as np

from tests.models.attentive_oracle import affine, embed, lstm, shares, sigmoid


def relu(x):
    return np.maximum(x, 0)


def layer_norm(p, x, epsilon=1e-6):
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    return centred / deviation * p["scale"] + p["bias"]


def halved(p, x):
    """A convolution of 2 by 2 that moves by 2."""
    side = len(x) // 2
    kernel = p["kernel"].reshape(2, 2, x.shape[-1], -1)
    found = np.zeros((side, side, kernel.shape[-1])) + p["bias"]
    for row, column, down, across in np.ndindex(side, side, 2, 2):
        found[row, column] += x[2 * row + down, 2 * column + across] @ kernel[down, across]
    return found


def convolved(p, x):
    """A convolution of 3 by 3 with zeros beyond the edge."""
    side = len(x)
    kernel = p["kernel"].reshape(3, 3, x.shape[-1], -1)
    found = np.zeros((side, side, kernel.shape[-1])) + p["bias"]
    for row, column, down, across in np.ndindex(side, side, 3, 3):
        there = row + down - 1, column + across - 1
        if min(there) >= 0 and max(there) < side:
            found[row, column] += x[there] @ kernel[down, across]
    return found


def cells(p, picture):
    """The features of each cell, row by row."""
    x = relu(halved(p["pixels"], picture / 128 - 1))
    x = relu(halved(p["merge"], relu(convolved(p["fine"], x))))
    if "places" in p:
        x = x + p["places"].reshape(x.shape)
    for n in range(len(p.get("coarse", {}))):
        x = x + relu(convolved(p["coarse"][str(n)], x))
    return x.reshape(-1, x.shape[-1])


def captioning(params, picture, target):
    """The logits [T, V] and the weights [T, S] of one picture's caption."""
    a = cells(params["cells"], picture)
    h, c = (np.tanh(affine(params[name], a.mean(0))) for name in ("first_hidden", "first_memory"))
    p, logits, weights = params["decoder"], [], []
    for token in target:
        y = embed(params["embedding"], token)
        query = affine(params["query"], h)
        energies = [params["direction"] @ np.tanh(query + affine(params["key"], one)) for one in a]
        alpha = shares(np.array(energies))
        z = sum(weight * one for weight, one in zip(alpha, a, strict=True))
        if "gate" in params:
            z = sigmoid(affine(params["gate"], h)) * z
        # The context goes into all four gates beside the word.
        inputs = {
            "kernel": p["inputs"]["kernel"],
            "bias": p["inputs"]["bias"] + affine(params["context"], z),
        }
        h, c = lstm({"inputs": inputs, "recurrent": p["recurrent"]}, y, (h, c))
        deep = y + affine(params["of_state"], h) + affine(params["of_context"], z)
        logits.append(affine(params["projection"], deep))
        weights.append(alpha)
    return np.array(logits), np.array(weights)


def attention(p, x, source, heads):
    """What every row of x reads, and with what weights [H, T, S]."""
    query, key, value = (
        affine(p[name], y) for name, y in (("query", x), ("key", source), ("value", source))
    )
    size = query.shape[-1] // heads
    read, weights = np.zeros_like(query), np.zeros((heads, len(x), len(source)))
    for head, row in np.ndindex(heads, len(x)):
        mine = slice(head * size, (head + 1) * size)
        weights[head, row] = shares(key[:, mine] @ query[row, mine] / np.sqrt(size))
        read[row, mine] = weights[head, row] @ value[:, mine]
    return affine(p["output"], read), weights


def visual_question(params, picture, question, heads):
    """The logits [V] of one question's answers, and all weights by part and layer."""
    seen = layer_norm(params["seen_norm"], affine(params["into"], cells(params["cells"], picture)))
    x = np.array([embed(params["embedding"], token) for token in question])
    x = x + params["positions"][: len(x)]
    found = {}
    for n in range(len(params["layers"])):
        p = params["layers"][str(n)]
        norms = [p["residuals"][str(i)]["norm"] for i in range(3)]
        y = layer_norm(norms[0], x)
        read, found["encoder", n] = attention(p["attention"], y, y, heads)
        x = x + read
        read, found["cross", n] = attention(p["cross"], layer_norm(norms[1], x), seen, heads)
        x = x + read
        inner = relu(affine(p["feed_forward"]["expand"], layer_norm(norms[2], x)))
        x = x + affine(p["feed_forward"]["contract"], inner)
    return affine(params["projection"], layer_norm(params["norm"], x[0])), found
