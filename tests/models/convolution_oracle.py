"""The convolutional encoder-decoder once more: NumPy, float64, one sentence at a time, in loops."""

import math

import numpy as np


def logits(config, params, source, target):
    """[T, V] for one sentence pair without padding, and the weights of each layer, [L, T, S]."""
    keys, values = _encoded(config, params, source)
    table = params["source_embedding" if config.tied else "target_embedding"]["table"]
    g = _embedded(table, params["target_positions"], target)
    h, found = _affine(g, params["into_decoder"]), []
    for n in range(config.decoder_layers):
        own = params["decoder"][n]
        h = (_convolved(h, own["convolution"], config.kernel - 1) + h) / math.sqrt(2)
        weights = np.zeros((len(target), len(source)))
        for i in range(len(target)):
            scores = [(_affine(h[i], own["query"]) + g[i]) @ key for key in keys]
            raised = np.exp(np.array(scores) - max(scores))
            weights[i] = raised / raised.sum()
        read = np.stack([sum(w * v for w, v in zip(row, values, strict=True)) for row in weights])
        h = h + _affine(len(source) * math.sqrt(1 / len(source)) * read, own["output"])
        h = h / math.sqrt(2)
        found.append(weights)
    x = _affine(h, params["from_decoder"])
    return (x @ table.T if config.tied else _affine(x, params["projection"])), np.stack(found)


def _encoded(config, params, source):
    e = _embedded(params["source_embedding"]["table"], params["source_positions"], source)
    h = _affine(e, params["into_encoder"])
    for n in range(config.encoder_layers):
        h = (_convolved(h, params["encoder"][n], (config.kernel - 1) // 2) + h) / math.sqrt(2)
    z = _affine(h, params["from_encoder"])
    return z, z + e


def _embedded(table, positions, tokens):
    unit = 0.1 * math.sqrt(table.shape[1])
    return np.stack([unit * table[token] + positions[t] for t, token in enumerate(tokens)])


def _convolved(x, params, before):
    """Row t reads the rows from t - before on, as many as the kernel has matrices."""
    rows = []
    for t in range(len(x)):
        row = params["bias"].copy()
        for w, matrix in enumerate(params["kernel"]):
            if 0 <= t + w - before < len(x):
                row += x[t + w - before] @ matrix
        linear, gate = row[: len(row) // 2], row[len(row) // 2 :]
        rows.append(linear / (1 + np.exp(-gate)))
    return np.stack(rows)


def _affine(x, params):
    return x @ params["kernel"] + (0 if params.get("bias") is None else params["bias"])
