"""Translators made of random numbers, and what tests do with the page that shows them."""

import numpy as np

from attention_jax.views.readings import Attention, Candidate, Reading

SOURCE = ["The", "ball", "is", "blue", "<eos>"]
TARGET = ["<bos>", "Der", "Ball", "ist", "blau"]
WRITTEN = [*TARGET[1:], "<eos>"]


def vectors(heads, length, features=6, seed=0):
    return np.random.default_rng(seed).normal(size=(heads, length, features)).astype(np.float32)


def attended(name, queries, sources, chosen=(), layers=2, heads=4, seed=0):
    """Two heads share the keys of a group; the weights are the softmax that the vectors say."""
    query = [vectors(heads, len(queries), seed=seed + 2 * at) for at in range(layers)]
    key = [vectors(heads // 2, len(sources), seed=seed + 2 * at + 1) for at in range(layers)]
    weights = []
    for one, other in zip(query, key, strict=True):
        powers = np.exp(one @ other.repeat(2, 0).swapaxes(1, 2) / np.sqrt(6))
        weights.append(powers / powers.sum(-1, keepdims=True))
    return Attention(name, weights, queries, sources, chosen, query, key)


def translator(model, moment, heads=4, seed=0):
    attentions = (
        attended("encoder", SOURCE, SOURCE, (), heads=heads, seed=seed),
        attended("decoder", TARGET, TARGET, WRITTEN, heads=heads, seed=seed + 10),
        attended("cross", TARGET, SOURCE, WRITTEN, heads=heads, seed=seed + 20),
    )
    beams = (
        (("Die", -0.5, -1), ("Der", -0.7, -1)),
        (("Ball", -0.9, 1), ("Kugel", -1.0, 0)),
        (("ist", -1.1, 0), ("war", -2.0, 0)),
        (("blau", -1.2, 0), ("rot", -np.inf, 1)),
        (("<eos>", -1.3, 0), ("<eos>", -2.25, 1)),
    )
    steps = tuple(tuple(Candidate(*one) for one in step) for step in beams)
    texts = ("The ball is blue", "Der Ball ist blau")
    return Reading(attentions, model, moment, "", *texts, steps, (1, 0, 0, 0, 0))


MOMENTS = ("step 0", "step 50", "step 100")
READINGS = [
    translator(model, moment, heads, 100 * heads + place)
    for model, heads in (("four heads", 4), ("two heads", 2))
    for place, moment in enumerate(MOMENTS)
]


def show(page, **what):
    start = {
        "reading": 0, "kind": "cross", "layer": 0, "head": 0, "query": 0, "source": None,
        "other": None, "otherLayer": None, "otherHead": None,
    }  # fmt: skip
    page.evaluate("what => attentionView.show(what)", start | what)


def state(page):
    return page.evaluate("attentionView.state()")


def given(reading=0, kind="cross"):
    return next(one for one in READINGS[reading].attentions if one.name == kind)


def read_back(page, attention, name, reading=0):
    """All weights that the page gives, by layer."""
    found = page.evaluate(
        """([reading, attention, heads, queries]) => heads.map((count, layer) =>
          [...Array(count).keys()].map((head) => [...Array(queries).keys()].map((query) => {
            const row = attentionView.weights({reading, attention, layer, head, query});
            return [row.sources, row.weights];
          })))""",
        [reading, name, [len(layer) for layer in attention.weights], len(attention.queries)],
    )
    layers = []
    for heads in found:
        layer = np.zeros((len(heads), len(attention.queries), len(attention.sources)), np.float32)
        for head, of_head in enumerate(heads):
            for query, (sources, weights) in enumerate(of_head):
                assert np.array_equal(np.float32(weights), weights)
                layer[head, query, sources] = weights
        layers.append(layer)
    return layers


def shown_table(page, name="row-table"):
    return page.eval_on_selector_all(
        f"#{name} tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
