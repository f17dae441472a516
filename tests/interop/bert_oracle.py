"""The BERT family once more: NumPy, float64, one text at a time, by the names that folders use.

Nothing here is taken from `attention_jax`.
"""

import math

import numpy as np

BERT = {
    "norm": "LayerNorm",
    "layer": "encoder.layer",
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "first norm": "attention.output.LayerNorm",
    "expand": "intermediate.dense",
    "contract": "output.dense",
    "second norm": "output.LayerNorm",
}
DISTILBERT = {
    "norm": "LayerNorm",
    "layer": "transformer.layer",
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "output": "attention.out_lin",
    "first norm": "sa_layer_norm",
    "expand": "ffn.lin1",
    "contract": "ffn.lin2",
    "second norm": "output_layer_norm",
}


def read(form, arrays, tokens, types):
    """Features [S, D] of one text without padding, and the weights of each layer, [L, H, S, S]."""
    arrays = {name: np.asarray(x, np.float64) for name, x in arrays.items()}
    kind = form["model_type"]
    names = DISTILBERT if kind == "distilbert" else BERT
    heads = form["n_heads" if kind == "distilbert" else "num_attention_heads"]
    layers = form["n_layers" if kind == "distilbert" else "num_hidden_layers"]
    epsilon = form.get("layer_norm_eps", 1e-12)
    activation = form["activation" if kind == "distilbert" else "hidden_act"]
    first = form["pad_token_id"] + 1 if "roberta" in kind else 0

    def table(name):
        return arrays[f"embeddings.{name}_embeddings.weight"]

    def affine(name, x):
        return x @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"]

    def norm(name, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon)
        return x * arrays[f"{name}.weight"] + arrays[f"{name}.bias"]

    x = table("word")[tokens] + table("position")[first : first + len(tokens)]
    if kind != "distilbert":
        x = x + table("token_type")[types]
    x, found = norm(f"embeddings.{names['norm']}", x), []
    for layer in range(layers):

        def named(part, layer=layer):
            return f"{names['layer']}.{layer}.{names[part]}"

        query, key, value = (
            np.stack(np.split(affine(named(part), x), heads, -1))
            for part in ("query", "key", "value")
        )
        logits = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = np.concatenate(list(weights @ value), -1)
        x = norm(named("first norm"), x + affine(named("output"), mixed))
        y = ACTIVATIONS[activation](affine(named("expand"), x))
        x = norm(named("second norm"), x + affine(named("contract"), y))
        found.append(weights)
    return x, np.stack(found)


def _gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def _gelu_new(x):
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = {"gelu": _gelu, "gelu_new": _gelu_new, "relu": lambda x: np.maximum(x, 0)}
