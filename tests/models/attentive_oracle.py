"""Bahdanau's and Luong's models once more: plain NumPy in float64, position by position.

Written from the papers' equations, one sentence at a time and without padding, so that nothing here
is masked, batched or scanned. Parameters are those of the models, by the same names.
"""

import numpy as np

PAD = 0


def in_float64(tree):
    """Nested dicts of parameters as arrays of float64."""
    if isinstance(tree, dict):
        return {str(name): in_float64(part) for name, part in tree.items()}
    return np.asarray(tree, np.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def shares(logits):
    raised = np.exp(logits - logits.max())
    return raised / raised.sum()


def affine(p, x):
    return x @ p["kernel"] + p.get("bias", 0)


def embed(p, token):
    return p["table"][token] * np.sqrt(p["table"].shape[1])


def logits_of(params, read):
    if "projection" in params:
        return affine(params["projection"], read)
    return params["source_embedding"]["table"] @ read


def target_table(params):
    return params.get("target_embedding", params["source_embedding"])


def gru(p, x, h, beside=0):
    """Bahdanau, appendix A.1.1, with `beside` (the context) added to what every gate is given.

    The kernels' columns are the reset gate's, the update gate's and the candidate's; the update
    gate says here what stays, so it is one minus the paper's.
    """
    size = len(h)
    x_r, x_z, x_n = np.split(affine(p["inputs"], x) + beside, 3)
    u_r, u_z = p["recurrent"][:, :size], p["recurrent"][:, size:]
    r = sigmoid(x_r + h @ u_r)
    z = 1 - sigmoid(x_z + h @ u_z)
    proposed = np.tanh(x_n + (r * h) @ p["candidate"])
    return (1 - z) * h + z * proposed


def lstm(p, x, state):
    h, c = state
    i, f, g, o = np.split(affine(p["inputs"], x) + h @ p["recurrent"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def bahdanau(params, source, target):
    """The logits [T, V] and the weights [T, S] of one sentence."""
    tokens = [embed(params["source_embedding"], token) for token in source if token != PAD]
    size = params["bridge"]["kernel"].shape[0]
    ahead, h = [], np.zeros(size)
    for x in tokens:
        ahead.append(h := gru(params["encoder"]["forward"]["0"], x, h))
    back, h = [], np.zeros(size)
    for x in tokens[::-1]:
        back.insert(0, h := gru(params["encoder"]["backward"]["0"], x, h))
    annotations = [np.concatenate(both) for both in zip(ahead, back, strict=True)]

    s = np.tanh(affine(params["bridge"], back[0]))
    logits, weights = [], []
    for token in target:
        y = embed(target_table(params), token)
        query = affine(params["query"], s)
        energies = [
            params["direction"] @ np.tanh(query + affine(params["key"], h)) for h in annotations
        ]
        alpha = shares(np.array(energies))
        context = sum(a * h for a, h in zip(alpha, annotations, strict=True))
        both = affine(params["readout"], np.concatenate([s, y, context]))
        maxout = [max(both[2 * j], both[2 * j + 1]) for j in range(len(both) // 2)]
        logits.append(logits_of(params, np.array(maxout)))
        weights.append(alpha)
        s = gru(params["decoder"], y, s, affine(params["context"], context))
    return np.array(logits), np.array(weights)


def read_by_lstm(layers, tokens):
    """All layers over all tokens: the highest hidden states, and each layer's final state."""
    finals = []
    for i in range(len(layers)):
        p = layers[str(i)]
        size = p["recurrent"].shape[0]
        state, states = (np.zeros(size), np.zeros(size)), []
        for x in tokens:
            state = lstm(p, x, state)
            states.append(state[0])
        finals.append(state)
        tokens = states
    return tokens, finals


def encode_luong(config, params, source):
    """The highest hidden states, where their tokens stand, and each layer's final state."""
    tokens = [embed(params["source_embedding"], token) for token in source if token != PAD]
    stacks = params["encoder"]
    if not config.bidirectional:
        turn = -1 if config.reverse_source else 1
        states, finals = read_by_lstm(stacks["forward"], tokens[::turn])
        return states[::turn], finals
    finals = []
    for i in range(config.layers):
        ahead, (end,) = read_by_lstm({"0": stacks["forward"][str(i)]}, tokens)
        back, (start,) = read_by_lstm({"0": stacks["backward"][str(i)]}, tokens[::-1])
        tokens = [np.concatenate(both) for both in zip(ahead, back[::-1], strict=True)]
        finals.append(tuple(np.concatenate(both) for both in zip(end, start, strict=True)))
    return tokens, finals


def luong_weights(config, p, h, states, t):
    """Luong, sections 3.1 and 3.2; positions count from zero."""

    def score(place):
        key = states[place]
        if config.score == "dot":
            return h @ key
        if config.score == "scaled_dot":
            return h @ key / np.sqrt(len(h))
        if config.score == "general":
            return h @ (p["key"]["kernel"].T @ key)
        if config.score == "concat":
            joined = np.concatenate([p["query"]["kernel"], p["key"]["kernel"]])
            return p["direction"] @ np.tanh(np.concatenate([h, key]) @ joined)
        return p["places"][place] @ h

    length, weights = len(states), np.zeros(len(states))
    center, fade = t, False
    if config.attention == "local_p":
        hidden = np.tanh(h @ p["center"]["kernel"])
        center, fade = length * sigmoid(p["center_direction"] @ hidden), True
    seen = [
        place
        for place in range(length)
        if config.attention == "global" or abs(place - center) <= config.reach
    ]
    if seen:
        weights[seen] = shares(np.array([score(place) for place in seen]))
    if fade:
        deviation = config.reach / 2
        weights *= np.exp(-((np.arange(length) - center) ** 2) / (2 * deviation**2))
    return weights


def luong(config, params, source, target):
    """The logits [T, V] and the weights [T, S] of one sentence."""
    states, decoder = encode_luong(config, params, source)
    p = params["attention"]
    read, logits, weights = np.zeros(config.width), [], []
    for t, token in enumerate(target):
        x = embed(target_table(params), token)
        if config.input_feeding:
            x = np.concatenate([x, read])
        for i in range(config.layers):
            decoder[i] = lstm(params["decoder"]["forward"][str(i)], x, decoder[i])
            x = decoder[i][0]
        alpha = luong_weights(config, p, x, states, t)
        context = sum(a * h for a, h in zip(alpha, states, strict=True))
        read = np.tanh(affine(p["combine"], np.concatenate([context, x])))
        logits.append(logits_of(params, read))
        weights.append(alpha)
    return np.array(logits), np.array(weights)
