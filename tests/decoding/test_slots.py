"""Rows that are searched for themselves: what a whole batch finds, whoever stands beside them."""

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.decoding.beam import beam
from attention_jax.decoding.greedy import greedy
from attention_jax.decoding.slots import Slots
from attention_jax.models.decoder_only import DecoderOnly, DecoderOnlyConfig
from attention_jax.models.transformer import Transformer, TransformerConfig

LENGTH, WIDTH = 9, 6
PENALTY = 2.0  # long hypotheses shall have a chance
SIZES = {"width": 16, "heads": 2, "feed_forward": 16}
WORDS = 8
MODELS = {  # with seeds for models that end some texts soon and others late
    "transformer": (0, lambda rngs: Transformer(config(), rngs=rngs)),
    "rotary": (0, lambda rngs: Transformer(config(positions="rotary"), rngs=rngs)),
    "decoder_only": (2, lambda rngs: DecoderOnly(ONE_SEQUENCE, rngs=rngs)),
}
ONE_SEQUENCE = DecoderOnlyConfig(vocabulary=WORDS, layers=1, context=32, **SIZES)


def config(**options):
    layers = {"encoder_layers": 1, "decoder_layers": 1 if options else 2}
    return TransformerConfig(vocabulary=WORDS, **layers, **SIZES, **options)


def made(name):
    """A model, and eleven sources."""
    seed, build = MODELS[name]
    model = nnx.jit(lambda: build(nnx.Rngs(seed)))()
    for layer in model.layers if name == "decoder_only" else model.decoder:
        layer.attention.value.kernel[...] *= 4
        if name != "decoder_only":
            layer.cross.value.kernel[...] *= 6
    chance = np.random.default_rng(0)
    sources = [chance.integers(3, WORDS, 1 + n % WIDTH).tolist() for n in range(11)]
    return *nnx.split(model, nnx.Param), sources


def in_one_batch(graph, params, sources, beams):
    whole = np.zeros((len(sources), WIDTH), np.int32)
    for row, ids in enumerate(sources):
        whole[row, : len(ids)] = ids
    sizes = {"rows": len(sources), "length": LENGTH}

    @jax.jit
    def search(params, source):
        model = nnx.merge(graph, params)
        cache = model.start(source, LENGTH)
        if beams == 1:
            return greedy(model.step, cache, **sizes)
        how = {"beams": beams, "penalty": PENALTY, "hypotheses": 1, "reorder": model.reorder}
        return beam(model.step, cache, **sizes, **how)[0][:, 0]

    return np.asarray(search(params, whole))


@pytest.fixture(autouse=True)
def small_batches_too(monkeypatch):
    """So that four rows are filled one by one."""
    monkeypatch.setattr("attention_jax.decoding.slots.FEW", 1)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_each_source_gets_what_a_batch_gives_it(name, beams):
    graph, params, sources = made(name)
    wanted = in_one_batch(graph, params, sources, beams)
    ends = (wanted != 0).sum(1)
    assert ends.min() < LENGTH / 2 and ends.max() == LENGTH  # some end early, some are cut
    sizes = {"source": WIDTH, "length": LENGTH, "beams": beams, "penalty": PENALTY}
    slots = Slots(graph, rows=4, **sizes)  # two rounds and more
    np.testing.assert_array_equal(slots.search(params, sources), wanted)
    np.testing.assert_array_equal(slots.search(params, sources[:2]), wanted[:2])
    assert slots.search(params, []) == []


def test_a_row_that_ends_makes_room_at_once(monkeypatch):
    """Of rows that end at different times none waits for the longest of them."""
    graph, params, sources = made("transformer")
    lengths = (in_one_batch(graph, params, sources, 1) != 0).sum(1)
    slots = Slots(graph, rows=4, source=WIDTH, length=LENGTH, beams=1, penalty=0.6)
    empty, put, go_on = slots.compiled(params)
    steps = []

    def counted(params, state, wanted):
        before = np.asarray(state.position)
        after = go_on(params, state, wanted)
        steps.append(int(np.max(np.asarray(after.position) - before)))
        return after

    monkeypatch.setattr(slots, "compiled", lambda _: (empty, put, counted))
    slots.search(params, sources)
    batches = sum(lengths[at : at + 4].max() for at in range(0, len(lengths), 4))
    assert sum(steps) < batches
    assert sum(steps) >= lengths.sum() / 4


def test_parameters_of_other_shapes_have_programs_of_their_own():
    graph, params, sources = made("transformer")
    slots = Slots(graph, rows=2, source=WIDTH, length=LENGTH, beams=1, penalty=0.0)
    assert slots.compiled(params) is slots.compiled(jax.tree.map(lambda x: x + 1, params))
    short = jax.tree.map(lambda x: x.astype("bfloat16"), params)
    assert slots.compiled(short) is not slots.compiled(params)
    assert len(slots.search(short, sources)) == len(sources)
