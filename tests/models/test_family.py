"""What every kind of model promises: see `family`."""

import functools
import re
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.batches import Batch
from attention_jax.models.decoder_only import DecoderOnlyConfig
from attention_jax.models.decoder_only_sequence import target_to_source
from attention_jax.models.places import PARTS, Place
from attention_jax.models.summarise import SummariseConfig
from attention_jax.models.transformer import TransformerConfig, Weights
from attention_jax.training.step import mean_loss
from tests.models.family import (
    FADING,
    FAMILY,
    KINDS,
    LABELS,
    SOURCE,
    TARGET,
    bits,
    build,
    in_turn,
    parameters,
    structure,
)

TWICE = SOURCE[[0, 0, 2]]
ROWS, STEPS = TARGET.shape
DTYPES = ("float32", "bfloat16", "float16")


@functools.cache
def prepare(name):
    """A model's parameters, and its programs, each compiled once for all tests."""
    config = FAMILY[name]
    graph = structure(config)

    def logits(params, source, target):
        return nnx.merge(graph, params)(source, target)

    def explained(params, source, target):
        return nnx.merge(graph, params)(source, target, explain=lambda place, weights: weights)

    def decoded(params, source, target, rows):
        """Step by step; before each, row i goes on from row `rows[step, i]`."""
        model = nnx.merge(graph, params)

        def step(cache, now):
            tokens, rows = now
            logits, cache = model.step(model.reorder(cache, rows), tokens)
            return cache, logits

        found = jax.lax.scan(step, model.start(source, STEPS), (target.T, rows))[1]
        return found.swapaxes(0, 1)

    programs = {"logits": logits, "explained": explained, "decoded": decoded}
    programs = {name: jax.jit(function) for name, function in programs.items()}
    facts = {"name": name, "config": config, "graph": graph, "params": parameters(config)}
    return SimpleNamespace(**facts, **programs)


@pytest.fixture(params=in_turn(FAMILY))
def made(request):
    return prepare(request.param)


@pytest.fixture(params=KINDS)
def kind(request):
    return prepare(request.param)


def test_cached_steps_give_the_logits_of_the_whole_pass(made):
    whole = made.logits(made.params, SOURCE, TARGET)
    straight = np.tile(np.arange(ROWS), (STEPS, 1))
    found = made.decoded(made.params, SOURCE, TARGET, straight)
    np.testing.assert_allclose(found, whole, atol=2e-5)


def test_a_reordered_cache_goes_on_from_the_chosen_row(made):
    whole = made.logits(made.params, TWICE, TARGET)
    rows = np.tile(np.arange(ROWS), (STEPS, 1))
    rows[2], tokens = [1, 0, 2], TARGET.copy()  # rows 0 and 1, of one source, change places
    tokens[:2, 2:] = TARGET[[1, 0], 2:]
    found = made.decoded(made.params, TWICE, tokens, rows)
    np.testing.assert_allclose(found[:2, 2:], whole[[1, 0], 2:], atol=2e-5)
    np.testing.assert_allclose(found[2], whole[2], atol=2e-5)
    assert not np.allclose(whole[0, 2:], whole[1, 2:], atol=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_leaves_a_cache_as_it_was_but_for_its_numbers(made, dtype):
    """Searches are loops: what goes round in them keeps its shapes and dtypes."""
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), made.params)

    def step(params):
        model = nnx.merge(made.graph, params)
        cache = model.start(SOURCE, STEPS)
        return cache, *model.step(cache, TARGET[:, 0]), model(SOURCE, TARGET)

    before, logits, after, whole = jax.eval_shape(step, params)
    assert all(leaf.shape[0] == ROWS for leaf in jax.tree.leaves(before) if leaf.ndim)
    assert before == after
    assert (logits.shape, logits.dtype) == ((ROWS, made.config.vocabulary), dtype)
    assert (whole.shape, whole.dtype) == ((ROWS, STEPS, made.config.vocabulary), dtype)


def test_explain_gives_every_rows_weights_and_leaves_the_logits_alone(made):
    plain = made.logits(made.params, SOURCE, TARGET)
    logits, found = made.explained(made.params, SOURCE, TARGET)
    np.testing.assert_array_equal(bits(logits), bits(plain))
    real = SOURCE != 0
    # Source and target, in one sequence, with padding before both or behind them.
    joined = isinstance(made.config, DecoderOnlyConfig | SummariseConfig)
    for place, weights in found.items():
        assert isinstance(place, Place) and place.part in PARTS
        sides = {"encoder": (7, 7), "decoder": (5, 5), "cross": (5, 7)}[place.part]
        sides = (12, 12) if joined else sides
        assert weights.shape[0] == ROWS and weights.shape[2:] == sides
        weights = np.asarray(weights)
        assert (weights >= 0).all()
        if place.part == "decoder":
            assert not np.triu(weights, 1).any()
        if isinstance(made.config, DecoderOnlyConfig):
            assert not target_to_source(weights, SOURCE).swapaxes(1, 3)[~real].any()
        elif place.part != "decoder":
            assert not weights.swapaxes(1, 3)[~real].any()  # no padding is seen
        sums = weights.sum(-1)
        assert (sums < 1 + 1e-5).all()
        # Where rows see what lies before them alone, the first one sees nothing.
        blind = int(place.part != "cross" and made.name.startswith("intra_attention"))
        if isinstance(made.config, SummariseConfig):  # or no whole slot
            blind = (made.config.sights[place.layer] == "compressed") * (made.config.slot - 1)
        assert not sums[..., :blind].any()
        seeing = np.ones(sums.shape, bool) if place.part != "encoder" else real[:, None]
        seeing = np.broadcast_to(seeing, sums.shape)[..., blind:]
        least = 0.1 if made.name in FADING else 1 - 1e-5
        assert (sums[..., blind:][seeing] > least).all()


def test_no_target_position_sees_a_later_one(made):
    plain = made.logits(made.params, SOURCE, TARGET)
    for place in range(1, STEPS):
        target = TARGET.copy()
        target[:, place] = 19
        found = made.logits(made.params, SOURCE, target)
        np.testing.assert_array_equal(bits(found)[:, :place], bits(plain)[:, :place])
        assert (bits(found)[:, place] != bits(plain)[:, place]).any(-1).all()


def test_asking_for_all_weights_gives_what_a_function_is_given(kind):
    def asked(explain):
        return jax.eval_shape(lambda: build(kind.config)(SOURCE, TARGET, explain=explain)[1])

    every, found = asked(True), asked(lambda place, weights: weights)
    if isinstance(kind.config, TransformerConfig):  # which stacks its layers
        stacks = [[leaf for place, leaf in found.items() if place.part == part] for part in PARTS]
        found = Weights(*((len(stack), *stack[0].shape) for stack in stacks))
        every = Weights(*(leaf.shape for leaf in every))
    if isinstance(kind.config, DecoderOnlyConfig):  # the same
        found, every = (len(found), *next(iter(found.values())).shape), every.shape
    assert every == found


def test_seeds_side_by_side_are_those_seeds(kind):
    params = kind.params, parameters(kind.config, seed=1)
    members = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
    found = jax.jit(jax.vmap(kind.logits, in_axes=(0, None, None)))(members, SOURCE, TARGET)
    for member, alone in zip(found, params, strict=True):
        np.testing.assert_allclose(member, kind.logits(alone, SOURCE, TARGET), atol=2e-5)
    assert not np.allclose(*found, atol=1e-3)


def test_dropout_only_with_a_key_and_repeatable(kind):
    graph = structure(replace(kind.config, dropout=0.25))

    @jax.jit
    def dropped(key):
        return nnx.merge(graph, kind.params)(SOURCE, TARGET, rng=key)

    # This generator is quick to compile.
    keys = [jax.random.key(seed, impl="rbg") for seed in (0, 1)]
    first = dropped(keys[0])
    np.testing.assert_array_equal(first, dropped(keys[0]))
    for other in (dropped(keys[1]), kind.logits(kind.params, SOURCE, TARGET)):
        assert np.isfinite(other).all() and not np.allclose(first, other, atol=1e-3)


def test_both_modes_of_nnx_trace_the_same_training(kind):
    def traced(mode):
        with nnx.set_graph_mode(mode), nnx.set_graph_updates(mode):
            loss = mean_loss(structure(kind.config), smoothing=0.1)
            batch = Batch(SOURCE, TARGET, LABELS, np.float32(LABELS != 0))
            params, key = jax.eval_shape(lambda: (parameters(kind.config), jax.random.key(0)))
            program = jax.make_jaxpr(jax.value_and_grad(loss, has_aux=True))(params, batch, key)
        return re.sub(r"0x[0-9a-f]+", "", str(program))  # addresses of functions

    assert traced(True) == traced(False) != ""
