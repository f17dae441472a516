"""The memory network of LSTMs once more: NumPy, float64, one sentence at a time, in loops."""

import numpy as np


def logits(config, params, source, target):
    """[T, V] for one sentence pair without padding, and the weights by (part, layer)."""
    found, tapes = {}, []
    x = _embedded(params["source_embedding"]["table"], source)
    for n in range(config.layers):
        nothing = np.zeros(config.width), np.zeros(config.width)
        hidden, cells, found["encoder", n], _ = _read(params["encoder"][n], x, nothing)
        tapes.append((hidden, cells))
        x = hidden
    table = params["source_embedding" if config.tied else "target_embedding"]["table"]
    x = _embedded(table, target)
    for n in range(config.layers):
        hidden, cells = tapes[n]
        deep = tapes[n] if config.fusion == "deep" else None
        x, _, found["decoder", n], read = _read(
            params["decoder"][n], x, (hidden[-1], cells[-1]), deep
        )
        if deep is not None:
            found["cross", n] = read
    if config.fusion == "shallow":
        sources, rows, read = tapes[-1][0], [], []
        for h in x:
            query = _affine(h, params["query"])
            scores = [np.tanh(query + _affine(s, params["key"])) @ params["v"] for s in sources]
            read.append(_softmax(scores))
            rows.append(np.concatenate([_mean(read[-1], sources), h]))
        x, found["cross", 0] = np.stack(rows), np.stack(read)
    x = np.tanh(_affine(x, params["readout"]))
    return (x @ table.T if config.tied else _affine(x, params["projection"])), found


def _read(params, x, start, source=None):
    """Hidden states, memories, the weights on the own tape and those on the source's."""
    hidden, cells, own, read = [], [], [], []
    recalled = recalled_source = np.zeros_like(start[0])
    for t, now in enumerate(x):
        weights = _compared(params["own"], now, recalled, hidden)
        own.append(np.pad(weights, (0, len(x) - t)))
        h, c = (_mean(weights, hidden), _mean(weights, cells)) if t else start
        recalled = h
        gates = _affine(now, params["lstm"]["inputs"]) + h @ params["lstm"]["recurrent"]
        i, f, g, o = np.split(gates, 4)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        if source is not None:
            fuse = params["source"]
            weights = _compared(fuse["compare"], now, recalled_source, source[0])
            recalled_source, memory = _mean(weights, source[0]), _mean(weights, source[1])
            read.append(weights)
            gate = _affine(now, fuse["inputs"]) + _affine(recalled_source, fuse["recurrent"])
            c = c + _sigmoid(gate) * memory
        hidden.append(_sigmoid(o) * np.tanh(c))
        cells.append(c)
    return np.stack(hidden), np.stack(cells), np.stack(own), np.array(read)


def _compared(params, now, recalled, keys):
    query = _affine(now, params["query"]) + _affine(recalled, params["recalled"])
    return _softmax([np.tanh(query + _affine(k, params["key"])) @ params["v"] for k in keys])


def _embedded(table, tokens):
    return table[tokens] * np.sqrt(table.shape[1])


def _mean(weights, rows):
    return sum(weight * row for weight, row in zip(weights, rows, strict=True))


def _softmax(scores):
    raised = np.exp(np.array(scores))
    return raised / raised.sum()


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _affine(x, params):
    return x @ params["kernel"] + (0 if params.get("bias") is None else params["bias"])
