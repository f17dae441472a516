"""Marian and T5 once more: NumPy, float64, one text at a time, no padding at all."""

import math

import numpy as np


def marian(config, params, source, target):
    """Logits [T, V], and the weights of every attention, [H, T, S], by part and layer."""
    params = _wide(params)
    own = {part: params.get("embedding", params.get(f"{part}_embedding")) for part in SIDES}
    tables = {part: one["table"] for part, one in own.items()}
    heads = {"encoder": config.encoder_heads, "decoder": config.decoder_heads}

    def enter(part, tokens):
        x = tables[SIDES_OF[part]][tokens] * (math.sqrt(config.width) if config.scaled else 1)
        half = np.arange(config.width // 2)
        angles = np.arange(len(tokens))[:, None] / 10_000 ** (2 * half / config.width)
        return x + np.concatenate([np.sin(angles), np.cos(angles)], -1)

    def around(x, residual, sublayer):
        return _layer_norm(x + sublayer(x), residual["norm"], 1e-5)

    def attend(part, own, x, y, causal):
        size = config.width // heads[part]
        return _attention(own, x, y, heads[part], size, causal, 1 / math.sqrt(size))

    x, found = _stacks(config, params, source, target, enter, around, attend)
    return x @ tables["target"].T + params["output_bias"], found


def t5(config, params, source, target):
    """Logits [T, V], and the weights of every attention, [H, T, S], by part and layer."""
    params = _wide(params)
    table = params["embedding"]["table"]

    def enter(part, tokens):
        return table[tokens]

    def around(x, residual, sublayer):
        return x + sublayer(_rms_norm(x, residual["norm"], config.epsilon))

    def attend(part, own, x, y, causal):
        bias = 0
        if x is y:
            learned = params[f"{part}_distances"]
            bias = np.zeros((config.heads, len(x), len(x)))
            for i in range(len(x)):
                for j in range(len(x)):
                    bias[:, i, j] = learned[_bucket(config, j - i, part == "encoder")]
        return _attention(own, x, y, config.heads, config.head_size, causal, 1, bias)

    def leave(part, x):
        return _rms_norm(x, params[f"{part}_norm"], config.epsilon)

    x, found = _stacks(config, params, source, target, enter, around, attend, leave)
    x = x / math.sqrt(config.width) if config.scaled else x
    return x @ (table.T if config.tied else params["projection"]["kernel"]), found


SIDES = ("source", "target")
SIDES_OF = {"encoder": "source", "decoder": "target"}


def _stacks(config, params, source, target, enter, around, attend, leave=lambda part, x: x):
    found = {}
    activation, gated = config.activation.removeprefix("gated_"), "gated" in config.activation

    def network(own, x):
        function = ACTIVATIONS["gelu_tanh" if gated and activation == "gelu" else activation]
        inner = _affine(x, own["expand"])
        inner = function(_affine(x, own["gate"])) * inner if gated else function(inner)
        return _affine(inner, own["contract"])

    def read(part, layer, own, y=None):
        def sublayer(x):
            stack = "encoder" if part == "encoder" else "decoder"
            output, found[part, layer] = attend(
                stack, own, x, x if y is None else y, part == "decoder"
            )
            return output

        return sublayer

    x = enter("encoder", source)
    for n, own in params["encoder"].items():
        x = around(x, own["residuals"][0], read("encoder", n, own["attention"]))
        x = around(x, own["residuals"][1], lambda x, own=own: network(own["feed_forward"], x))
    memory, x = leave("encoder", x), enter("decoder", target)
    for n, own in params["decoder"].items():
        x = around(x, own["residuals"][0], read("decoder", n, own["attention"]))
        x = around(x, own["residuals"][1], read("cross", n, own["cross"], memory))
        x = around(x, own["residuals"][2], lambda x, own=own: network(own["feed_forward"], x))
    return leave("decoder", x), found


def _attention(own, x, y, heads, size, causal, scale, bias=0):
    query, key, value = (
        _affine(rows, own[name]).reshape(len(rows), heads, size).swapaxes(0, 1)
        for name, rows in (("query", x), ("key", y), ("value", y))
    )
    logits = query @ key.swapaxes(1, 2) * scale + bias
    if causal:
        logits = np.where(np.tril(np.ones(logits.shape[1:], bool)), logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = (weights @ value).swapaxes(0, 1).reshape(len(x), heads * size)
    return _affine(mixed, own["output"]), weights


def _bucket(config, ahead, both_ways):
    """Raffel et al. 2020, section 2.1: near distances have a bucket each, far ones share."""
    count, first = config.buckets, 0
    if both_ways:
        count //= 2
        first, far = (count if ahead > 0 else 0), abs(ahead)
    else:
        far = max(-ahead, 0)
    exact = count // 2
    if far < exact:
        return first + far
    share = math.log(far / exact) / math.log(config.max_distance / exact)
    return first + min(exact + int(share * (count - exact) + 1e-12), count - 1)


def _layer_norm(x, own, epsilon):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * own["scale"] + own["bias"]


def _rms_norm(x, own, epsilon):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * own["scale"]


def _affine(x, own):
    return x @ own["kernel"] + own.get("bias", 0)


def _gelu_tanh(x):
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "gelu_tanh": _gelu_tanh,
}


def _wide(params):
    if isinstance(params, dict):
        return {name: _wide(value) for name, value in params.items() if value is not None}
    return np.asarray(params, np.float64)
