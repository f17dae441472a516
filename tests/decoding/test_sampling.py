"""Sampling: cuts against loops in NumPy, draws against their shares, texts against whole passes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.tokens import END, PAD, START
from attention_jax.decoding.sampling import (
    SamplingConfig,
    continued,
    draw,
    min_p,
    sample,
    sampled,
    tempered,
    top_k,
    top_p,
)
from attention_jax.models.decoder_only import DecoderOnly, DecoderOnlyConfig
from attention_jax.training.step import split

SIZES = dict(vocabulary=13, width=8, layers=1, heads=2, feed_forward=8, context=16)
LEARNED, ROTARY = DecoderOnlyConfig(**SIZES), DecoderOnlyConfig(**SIZES, positions="rotary")
PROMPT = np.array([[5, 6, 7], [8, 0, 0], [9, 4, 0]], np.int32)
TIED = np.array([[1.0, 3.0, 2.0, 3.0, 2.0, -np.inf, 2.0]], np.float32)


def by_hand(kind, logits, value):
    """One row after another, token after token, in float64."""
    found = np.full(logits.shape, -np.inf)
    for row, own in enumerate(np.float64(logits)):
        order = sorted(range(len(own)), key=lambda token: (-own[token], token))
        shares = np.exp(own - own.max()) / np.exp(own - own.max()).sum()
        together = 0.0
        for place, token in enumerate(order):
            fits = {
                "top_k": place < value,
                "top_p": together < value,
                "min_p": shares[token] >= value * shares.max() * (1 - 1e-9),
            }[kind]
            together += shares[token]
            found[row, token] = own[token] if fits else -np.inf
    return found


@pytest.mark.parametrize("logits", [np.random.default_rng(0).normal(0, 2, (5, 11)), TIED])
@pytest.mark.parametrize(
    ("cut", "value"),
    [(top_k, k) for k in (1, 2, 3, 7, 50)]
    + [(top_p, p) for p in (1e-6, 0.3, 0.65, 0.95, 1.0)]
    + [(min_p, p) for p in (0.0, 0.1, 0.5, 1.0)],
)
def test_cuts_are_those_of_a_loop(cut, value, logits):
    logits = np.float32(logits)
    found = cut(jnp.asarray(logits), value)
    np.testing.assert_allclose(found, by_hand(cut.__name__, logits, value), rtol=1e-6)


def test_equal_tokens_go_by_their_number():
    assert np.flatnonzero(np.isfinite(top_k(TIED, 1)[0])).tolist() == [1]
    assert np.flatnonzero(np.isfinite(top_k(TIED, 3)[0])).tolist() == [1, 2, 3]
    assert np.flatnonzero(np.isfinite(top_p(TIED, 0.01)[0])).tolist() == [1]
    assert np.flatnonzero(np.isfinite(min_p(TIED, 1.0)[0])).tolist() == [1, 3]


def test_what_leaves_all_changes_nothing():
    assert top_k(TIED, 7) is TIED and top_p(TIED, 1.0) is TIED and min_p(TIED, 0.0) is TIED


def test_temperature_zero_and_each_cut_to_one_are_greedy():
    logits = jnp.asarray(np.random.default_rng(1).normal(size=(6, 9)), jnp.float32)
    wanted = np.asarray(logits).argmax(-1)
    for config in (
        SamplingConfig(0.0),
        SamplingConfig(top_k=1),
        SamplingConfig(top_p=1e-9),
        SamplingConfig(min_p=1.0),
        SamplingConfig(1e-30),
    ):
        found = draw(logits, jax.random.key(0), config)
        assert found.dtype == jnp.int32
        np.testing.assert_array_equal(found, wanted)
    assert int(draw(jnp.asarray(TIED), jax.random.key(0), SamplingConfig(0.0))[0]) == 1


def test_a_temperature_divides_and_never_overflows():
    logits = jnp.asarray([[3.0, -1.0, 2.0e38, -jnp.inf]])
    np.testing.assert_allclose(tempered(logits, 0.5)[0, 2:], [0, -np.inf])
    shares = jax.nn.softmax(tempered(TIED, 0.5))
    wanted = np.exp(TIED * 2) / np.exp(TIED * 2).sum()
    np.testing.assert_allclose(shares, wanted, rtol=1e-5)
    assert tempered(TIED.astype(jnp.bfloat16), 1.0).dtype == jnp.float32


def test_draws_have_the_shares_that_the_cuts_leave():
    config = SamplingConfig(temperature=2.0, top_k=4, top_p=0.85)
    logits = jnp.asarray([[2.0, 1.0, 4.0, 3.0, 0.0, -1.0]])
    raised = np.exp(np.array([4.0, 3.0, 2.0, 1.0]) / 2)
    shares = raised / raised.sum()
    left = shares[: int((shares.cumsum() - shares < 0.85).sum())]
    assert len(left) == 3
    found = draw(jnp.repeat(logits, 20_000, 0), jax.random.key(3), config)
    counts = np.bincount(found, minlength=6)[[2, 3, 0, 1, 4, 5]]
    np.testing.assert_allclose(counts[:3] / 20_000, left / left.sum(), atol=0.01)
    assert not counts[3:].any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"min_p": -0.1}, "min_p is -0.1"),
    ],
)
def test_impossible_settings_are_refused(change, words):
    with pytest.raises(ValueError, match=f"{words}.*would fit"):
        SamplingConfig(**change)


def build(config, seed=0):
    """A model far from its even beginning."""
    graph, shapes = split(nnx.eval_shape(lambda: DecoderOnly(config, rngs=nnx.Rngs(0))))
    draws = np.random.default_rng(seed).normal
    return graph, jax.tree.map(lambda x: jnp.float32(draws(0, 0.5, x.shape)), shapes)


def likeliest(graph, params, row, length, context):
    """One row and one token at a time, each from a whole new pass over what is read."""
    text = row[row != PAD].tolist()

    @jax.jit
    def logits_of(params, tokens):
        return nnx.merge(graph, params)(tokens[:, :0], tokens)

    for _ in range(length):
        read = text[-context:]
        tokens = np.array([read + [PAD] * (context - len(read))], np.int32)
        logits = np.array(logits_of(params, tokens)[0, len(read) - 1])
        logits[[PAD, START, END]] = -np.inf
        text.append(int(logits.argmax()))
    return text[-length:]


@pytest.mark.parametrize(
    ("config", "length", "context"), [(LEARNED, 6, None), (ROTARY, 9, None), (LEARNED, 9, 4)]
)
def test_greedy_samples_are_those_of_whole_passes(config, length, context):
    graph, params = build(config, seed=2)
    how = SamplingConfig(0.0, stop=False)
    key = jax.random.key(0)
    found = sampled(graph, params, PROMPT, key, length=length, config=how, context=context)
    for row, own in zip(PROMPT, np.asarray(found), strict=True):
        assert own.tolist() == likeliest(graph, params, row, length, context or 12)


class Counting:
    """Says token after token, 3, 4, 5 ..., and END after the sixth."""

    def start(self, source, length):
        return jnp.zeros(source.shape[0])

    def step(self, cache, tokens):
        after = jnp.where(tokens >= 6, END, tokens + 1)
        return 9.0 * jax.nn.one_hot(after, 9), cache


def test_a_row_ends_and_the_others_go_on():
    prompt = np.array([[5], [3]], np.int32)
    run = jax.jit(partial(sample, Counting()), static_argnums=(1, 3))
    found = run(prompt, 6, jax.random.key(0), SamplingConfig(0.0))
    assert found.tolist() == [[6, END, PAD, PAD, PAD, PAD], [4, 5, 6, END, PAD, PAD]]
    found = run(prompt, 6, jax.random.key(0), SamplingConfig(0.0, stop=False))
    assert found.tolist() == [[6, 3, 4, 5, 6, 3], [4, 5, 6, 3, 4, 5]]


class Words:
    """Numbers as text."""

    def encode(self, text):
        return [int(word) for word in text.split()]

    def decode(self, ids):
        return " ".join(str(token) for token in ids if token not in (PAD, START, END))


def test_texts_go_on_from_texts_and_seeds_decide():
    model = nnx.merge(*build(LEARNED))
    write = partial(continued, model, Words(), config=SamplingConfig(stop=False))
    first = write(["5 6", "", "7"], 12, seed=1)
    assert first == write(["5 6", "", "7"], 12, seed=1) != write(["5 6", "", "7"], 12, seed=2)
    assert all(len(text.split()) == 12 for text in first)
    long = write(["5 6"], 40, seed=1)  # past the positions that there are
    assert len(long[0].split()) == 40


def test_nothing_to_go_on_from_is_refused():
    for prompt, length in ((PROMPT[:, :0], 3), (PROMPT, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            sample(Counting(), prompt, length, jax.random.key(0), SamplingConfig())
