"""Luong's model, in all its variants, against its rewriting in NumPy, itself and its cache."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.models.luong import Luong, LuongConfig
from tests.models.attentive_cases import SOURCE, TARGET, Made
from tests.models.attentive_oracle import in_float64, luong

SMALL = LuongConfig(vocabulary=23, width=8, reach=1, max_source=6)
SCORES = ("dot", "scaled_dot", "general", "concat", "location")
VARIANTS = {
    **{score: replace(SMALL, score=score, input_feeding=False) for score in SCORES},
    "fed": SMALL,
    "fed concat, local-m": replace(SMALL, score="concat", attention="local_m"),
    "fed location, local-p": replace(SMALL, score="location", attention="local_p"),
    "local-m": replace(SMALL, attention="local_m", input_feeding=False),
    "local-p": replace(SMALL, attention="local_p", input_feeding=False, tied=False),
    "two layers, reversed": replace(SMALL, layers=2, reverse_source=True, embedding=6),
    "two layers, both ways": replace(SMALL, layers=2, bidirectional=True, input_feeding=False),
}


def names(*quick):
    """All variants; those that are not quick are for the slow suite."""
    return [pytest.param(n, marks=() if n in quick else pytest.mark.slow) for n in VARIANTS]


@pytest.fixture(scope="module")
def small():
    return Made(Luong, SMALL)


@pytest.mark.parametrize("name", names(*(set(VARIANTS) - {"dot", "scaled_dot", "local-m"})))
def test_logits_and_weights_are_those_of_the_papers_equations(name, small):
    made = small if VARIANTS[name] == SMALL else Made(Luong, VARIANTS[name])
    params = in_float64(made.params)
    made.agrees_with(lambda *row: luong(made.config, params, *row), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fed location, local-p", "two layers, both ways"])
def test_float64_agrees_to_ten_digits(name):
    with jax.enable_x64(True):
        made = Made(Luong, VARIANTS[name], np.float64)
        params = in_float64(made.params)
        logits = made.agrees_with(lambda *row: luong(made.config, params, *row), atol=1e-10)
        assert logits.dtype == jnp.float64


@pytest.mark.parametrize("name", names("fed location, local-p"))
def test_cached_steps_give_the_logits_of_the_whole_pass(name):
    Made(Luong, VARIANTS[name]).steps_agree_with_the_whole()


def test_rows_of_a_source_change_places_and_the_source_itself_stays(small):
    cache = small.start()
    numbers = np.arange(24).reshape(3, 8)
    moved = small.model.reorder(cache._replace(read=numbers), np.array([1, 0, 2]))
    np.testing.assert_array_equal(moved.read, numbers[[1, 0, 2]])
    for after, before in zip(moved.states[0], cache.states[0], strict=True):
        np.testing.assert_array_equal(after, before[np.array([1, 0, 2])])
    assert moved.memory is cache.memory


def test_what_was_read_goes_into_the_next_step_only_with_input_feeding(small):
    """Other values to read, the same states to start from."""

    def states_after(made, values):
        cache = made.start()
        cache = cache._replace(memory=cache.memory._replace(values=values))
        for token in (11, 12):
            _, cache = made.step(cache, [token] * 3)
        return cache.states[-1][0]

    zeros, ones = np.zeros((3, 5, 8), np.float32), np.ones((3, 5, 8), np.float32)
    plain = Made(Luong, replace(SMALL, input_feeding=False))
    np.testing.assert_array_equal(states_after(plain, zeros), states_after(plain, ones))
    assert np.abs(states_after(small, zeros) - states_after(small, ones)).max() > 1e-3


def test_a_source_longer_than_the_table_of_places_is_refused():
    made, longer = Made(Luong, VARIANTS["location"]), np.full((3, 7), 5, np.int32)
    for ask in (lambda: made(longer), lambda: made.start(longer)):
        with pytest.raises(ValueError, match="source has 7 positions and max_source is 6"):
            ask()


@pytest.mark.slow
def test_with_input_feeding_too_dropout_stands_between_layers():
    """Where all else is not dropped: two keys differ by what stands between two layers."""
    made = Made(Luong, replace(SMALL, layers=2))
    streams = jax.random.split(jax.random.key(0), 2)

    def hidden(params, rng):
        model = made.build(params)
        states, memory = model._encode(SOURCE, [None, None])
        tokens = model.source_embedding.embed(TARGET)
        return model._fed(states, memory, tokens, rng)[0]

    run = jax.jit(hidden)
    one, other = (run(made.params, stream) for stream in streams)
    assert not np.allclose(one, other)
    np.testing.assert_array_equal(one, run(made.params, streams[0]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *(({name: 0}, f"{name} is 0; it must be at least 1") for name in ("vocabulary", "width")),
        *(({name: 0}, f"{name} is 0; it must be at least 1") for name in ("embedding", "layers")),
        *(({name: 0}, f"{name} is 0; it must be at least 1") for name in ("reach", "max_source")),
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and less than 1"),
        ({"width": 7, "bidirectional": True}, "width is 7; two directions"),
        ({"bidirectional": True, "reverse_source": True}, "reverse_source is True with bidir"),
        ({"kind": "bahdanau"}, "kind is 'bahdanau'; one of .*luong"),
        ({"score": "additive"}, "score is 'additive'; one of .*concat"),
        ({"attention": "local-p"}, "attention is 'local-p'; one of .*local_p"),
    ],
)
def test_impossible_configs_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change)
