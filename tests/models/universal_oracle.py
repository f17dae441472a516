"""The Universal Transformer in NumPy float64, one position at a time, from a model's parameters."""

import numpy as np


def sinusoid(at, width):
    angles = at / 10_000.0 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], -1).ravel()


def norm(x, params):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * params["scale"] + params["bias"]


def attention(x, source, params, heads, seen):
    """Rows of x read those sources that `seen(row)` counts."""
    query, (key, value) = (
        x @ params["query"]["kernel"],
        (source @ params[name]["kernel"] for name in ("key", "value")),
    )
    size, found = query.shape[-1] // heads, np.zeros_like(query)
    for head in range(heads):
        mine = slice(head * size, (head + 1) * size)
        for row in range(len(x)):
            logits = key[: seen(row), mine] @ query[row, mine] / np.sqrt(size)
            weights = np.exp(logits - logits.max())
            found[row, mine] = weights / weights.sum() @ value[: seen(row), mine]
    return found @ params["output"]["kernel"]


def transition(x, params):
    inner = np.maximum(x @ params["expand"]["kernel"] + params["expand"]["bias"], 0)
    return inner @ params["contract"]["kernel"] + params["contract"]["bias"]


def deepen(x, layer, steps, halting, epsilon):
    """The layer again and again; (states, steps N, remainders R) of the positions."""
    length, width = x.shape
    chances, states = np.zeros((steps, length)), []
    running, count, remainder = np.ones(length, bool), np.zeros(length), np.zeros(length)
    for step in range(steps):
        where = [sinusoid(at, width) + sinusoid(step, width) for at in range(length)]
        new = layer(x + np.array(where))
        if halting is None:
            x = new
            continue
        x = np.where(running[:, None], new, x)
        states.append(x)
        logits = x @ halting["gate"]["kernel"][:, 0] + halting["gate"]["bias"][0]
        for at in np.flatnonzero(running):
            chances[step, at] = 1 / (1 + np.exp(-logits[at]))
            count[at] += 1
            if step == steps - 1 or chances[: step + 1, at].sum() >= 1 - epsilon:
                remainder[at] = chances[step, at] = 1 - chances[:step, at].sum()
                running[at] = False
    if halting is not None:
        x = np.einsum("nt,ntd->td", chances, np.array(states))
    return x, count, remainder


def universal(config, params, source, target):
    """Logits of one sentence without padding, and (N, R) of both sides; post-norm, tied."""
    params = _wide(params)
    table = params["source_embedding"]["table"]
    scale = config.width**0.5
    encoder, decoder = params["encoder"], params["decoder"]

    def encode(x):
        norms = [encoder["residuals"][at]["norm"] for at in range(2)]
        every = attention(x, x, encoder["attention"], config.heads, lambda _: len(x))
        x = norm(x + every, norms[0])
        return norm(x + transition(x, encoder["feed_forward"]), norms[1])

    memory, *read = deepen(
        scale * table[source], encode, config.encoder_steps, params.get("encoder_halting"),
        config.epsilon,
    )  # fmt: skip

    def decode(x):
        norms = [decoder["residuals"][at]["norm"] for at in range(3)]
        before = attention(x, x, decoder["attention"], config.heads, lambda row: row + 1)
        x = norm(x + before, norms[0])
        across = attention(x, memory, decoder["cross"], config.heads, lambda _: len(memory))
        x = norm(x + across, norms[1])
        return norm(x + transition(x, decoder["feed_forward"]), norms[2])

    x, *written = deepen(
        scale * table[target], decode, config.decoder_steps, params.get("decoder_halting"),
        config.epsilon,
    )  # fmt: skip
    return x @ table.T, read, written


def _wide(tree):
    if isinstance(tree, dict):
        return {name: _wide(leaf) for name, leaf in tree.items()}
    return np.asarray(tree, np.float64)
