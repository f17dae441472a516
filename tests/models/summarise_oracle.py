"""The Transformer for long texts once more: NumPy, float64, one text at a time, in loops."""

import math

import numpy as np


def logits(config, params, text, summary):
    """[T, V] for one text and summary without padding, and each layer's weights, [L, H, N, N]."""
    table, found = params["embedding"]["table"].astype(np.float64), []
    tokens = [*text, *summary]
    places = np.arange(len(tokens))
    angles = places[:, None] / 10_000 ** (np.arange(0, config.width, 2) / config.width)
    sines = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(len(tokens), -1)
    x = table[tokens] * math.sqrt(config.width) + sines
    for layer, sight in enumerate(config.sights):
        own = params["layers"][layer]
        y, weights = _attention(config, own, sight, _norm(x, own["residuals"][0]["norm"]))
        x = x + y
        y, network = _norm(x, own["residuals"][1]["norm"]), own["feed_forward"]
        x = x + _affine(np.maximum(_affine(y, network["expand"]), 0), network["contract"])
        found.append(weights)
    x = _norm(x, params["norm"])[len(text) :]
    return (x @ table.T if config.tied else _affine(x, params["projection"])), np.stack(found)


def _attention(config, params, sight, x):
    size, count, every, outputs = config.size_of_head, len(x), [], []
    query, key, value = (_affine(x, params["attention"][n]) for n in ("query", "key", "value"))
    for head in range(config.heads):
        mine = slice(head * size, (head + 1) * size)
        keys, values = list(key[:, mine]), list(value[:, mine])
        if sight == "compressed":  # one of every `slot` whole rows
            slots = range(count // config.slot)
            kernels = params["key_kernel"][:, head], params["value_kernel"][:, head]
            keys, values = (
                [sum(rows[m * config.slot + w] @ k[w] for w in range(config.slot)) for m in slots]
                for rows, k in zip((keys, values), kernels, strict=True)
            )
        weights, output = np.zeros((count, count)), np.zeros((count, size))
        for i in range(count):
            if sight == "compressed":
                seen = [m for m in range(len(keys)) if (m + 1) * config.slot <= i + 1]
            else:
                first = i // config.block * config.block if sight == "local" else 0
                seen = list(range(first, i + 1))
            if not seen:
                continue
            scores = np.array([query[i, mine] @ keys[j] / math.sqrt(size) for j in seen])
            raised = np.exp(scores - scores.max())
            for j, share in zip(seen, raised / raised.sum(), strict=True):
                output[i] += share * values[j]
                if sight == "compressed":
                    weights[i, j * config.slot : (j + 1) * config.slot] = share / config.slot
                else:
                    weights[i, j] = share
        every.append(weights)
        outputs.append(output)
    return _affine(np.concatenate(outputs, -1), params["attention"]["output"]), np.stack(every)


def _norm(x, params):
    centred = x - x.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return normal * params["scale"] + params["bias"]


def _affine(x, params):
    return x @ params["kernel"] + (0 if params.get("bias") is None else params["bias"])
