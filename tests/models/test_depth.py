"""Layers made again and layers scanned: the same numbers, less memory, smaller programs."""

import json
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax import configs
from attention_jax.models.decoder_only import DecoderOnly, DecoderOnlyConfig
from attention_jax.models.depth import known_remat
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.training.step import split

DECODER = DecoderOnlyConfig(
    vocabulary=23, width=16, layers=2, heads=4, feed_forward=24, context=12, dropout=0.1,
    positions="rotary", norm="rms", activation="swiglu", key_value_heads=2, window=4,
)  # fmt: skip
TRANSFORMER = TransformerConfig(
    vocabulary=23, width=16, encoder_layers=2, decoder_layers=1, heads=4, feed_forward=24,
    dropout=0.1,
)  # fmt: skip
CONFIGS = {
    "decoder": DECODER,
    "transformer": TRANSFORMER,
    "t5 and pre": replace(TRANSFORMER, positions="t5", norm="pre"),
    "unequal heads": replace(TRANSFORMER, head_size=4, encoder_heads=(2, 4)),
}
KINDS = [
    pytest.param(DECODER, id="decoder"),
    pytest.param(TRANSFORMER, id="transformer", marks=pytest.mark.slow),
]
SOURCE = np.array([[5, 6, 7, 8, 2], [9, 4, 2, 0, 0]], np.int32)
TARGET = np.array([[1, 11, 12, 13], [1, 14, 15, 3]], np.int32)


def make(config):
    return (DecoderOnly if config.kind == "decoder_only" else Transformer)(config, rngs=nnx.Rngs(0))


def shapes(config):
    return split(nnx.eval_shape(lambda: make(config)))


def loss(params, config, rng, source=SOURCE, target=TARGET):
    logits = nnx.merge(shapes(config)[0], params)(source, target, rng=rng)
    return (logits**2).mean()


@pytest.mark.parametrize(
    "name", ["decoder", *(pytest.param(name, marks=pytest.mark.slow) for name in list(CONFIGS)[1:])]
)
def test_the_same_loss_and_gradients(name):
    config, rng = CONFIGS[name], jax.random.key(7)
    params = split(make(config))[1]
    wanted = jax.jit(jax.value_and_grad(partial(loss, config=config, rng=rng)))(params)
    for change in ({"remat": "everything"}, {"scan": True, "remat": "products"}):
        other = replace(config, **change)
        found = jax.jit(jax.value_and_grad(partial(loss, config=other, rng=rng)))(params)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-6), found, wanted)


def _program(config, rows=4, length=64):
    given = jax.ShapeDtypeStruct((rows, length), np.int32)
    run = jax.grad(lambda params, *tokens: loss(params, config, None, *tokens))
    return jax.jit(run).lower(shapes(config)[1], given, given)


DEEP = DecoderOnlyConfig(vocabulary=8, width=32, layers=6, heads=4, feed_forward=128, context=128)
RULES = ("nothing", "products", "everything")


@pytest.mark.parametrize("scan", [False, True])
def test_what_is_made_again_is_not_kept_for_the_gradient(scan):
    """The numbers that the forward pass leaves to the backward pass."""
    tokens, kept = np.ones((4, 64), np.int32), {}
    for remat in RULES:
        config = replace(DEEP, remat=remat, scan=scan)
        run = partial(loss, config=config, rng=None, source=tokens, target=tokens)
        back = jax.eval_shape(lambda params, run=run: jax.vjp(run, params)[1], shapes(config)[1])
        kept[remat] = sum(leaf.size for leaf in jax.tree.leaves(back))
    assert kept["everything"] < 0.7 * kept["products"], kept
    assert kept["products"] < 0.7 * kept["nothing"], kept


@pytest.mark.slow
@pytest.mark.skipif(jax.__version_info__ < (0, 12), reason="its XLA merges what is made again")
def test_what_is_made_again_needs_no_memory():
    taken = {}
    for remat in RULES:
        memory = _program(replace(DEEP, remat=remat)).compile().memory_analysis()
        taken[remat] = memory.temp_size_in_bytes
    assert taken["everything"] < 0.7 * taken["products"], taken
    assert taken["products"] < 0.7 * taken["nothing"], taken


@pytest.mark.parametrize("config", KINDS)
def test_a_scanned_program_does_not_grow_with_depth(config):
    names = [name for name in vars(config) if name.endswith("layers")]

    def lines(layers, scan):
        deep = replace(config, scan=scan, **dict.fromkeys(names, layers))
        text = _program(deep, rows=2, length=8).as_text()
        return sum("dot_general" in line for line in text.splitlines())

    assert lines(6, scan=True) == lines(3, scan=True)
    assert lines(6, scan=False) > 1.8 * lines(3, scan=False)


def test_neighbours_of_other_sizes_stay_apart():
    three = replace(TRANSFORMER, encoder_layers=3, head_size=4, scan=True)
    texts = [
        _program(replace(three, encoder_heads=heads), 2, 8).as_text()
        for heads in ((4, 4, 4), (2, 4, 4), (4, 2, 4))
    ]
    products = [text.count("dot_general") for text in texts]
    assert products[0] < products[1] < products[2]


@pytest.mark.parametrize("config", KINDS)
def test_looking_sees_every_layer(config):
    model, seen = make(replace(config, scan=True, remat="everything")), []
    graph, params = split(model)

    def heads(place, outputs):
        seen.append(place)
        return outputs

    changed = jax.jit(lambda: nnx.merge(graph, params)(SOURCE, TARGET, heads=heads))()
    logits, found = jax.jit(
        lambda: nnx.merge(graph, params)(SOURCE, TARGET, explain=lambda _, weights: weights.sum())
    )()
    plain = jax.jit(lambda: nnx.merge(graph, params)(SOURCE, TARGET))()
    assert set(seen) == set(found) == set(config.places())
    np.testing.assert_allclose(logits, plain, atol=1e-5)
    np.testing.assert_allclose(changed, plain, atol=1e-5)


def test_configs_that_said_true_or_false():
    assert known_remat(True) == "everything" and known_remat(False) == "nothing"
    for kind in (DecoderOnlyConfig, TransformerConfig):
        for said, meant in ((True, "everything"), (False, "nothing")):
            written = json.loads(json.dumps(configs.to_json(kind()) | {"remat": said}))
            del written["scan"]
            assert configs.from_json(kind, written) == kind(remat=meant)
        with pytest.raises(ValueError, match="remat is 'all'"):
            kind(remat="all")
        with pytest.raises(ValueError, match="products"):
            configs.from_json(kind, {"remat": "all"})
