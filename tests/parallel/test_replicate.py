"""Attention by pmap: the same numbers and gradients as on one device, and ordinary arrays."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from attention_jax import functional as f
from attention_jax.functional.local import local
from attention_jax.parallel import replicate
from attention_jax.training.programs import compilations
from tests.functional.cases import ROWS, example

close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
lengths = np.array([7, 3, 0, 5, 1, 7, 6, 2])
segments = np.arange(56).reshape(8, 7) // 3


def arrays(*, rows=8, queries=7, sources=7, heads=8, groups=8, seed=0):
    draw = np.random.default_rng(seed).normal
    shapes = (queries, heads, 4), (sources, groups, 4), (sources, groups, 3)
    return tuple(draw(size=(rows, *shape)).astype(np.float32) for shape in shapes)


def with_gradients(attend, given):
    """The output, and the gradients of a sum that weighs each of its numbers."""
    output, back = jax.vjp(attend, *given)
    factors = np.random.default_rng(1).normal(size=output.shape).astype(np.float32)
    return output, *back(jnp.asarray(factors))


CASES = {
    "self": {},
    "cross, T below S, grouped": {"sizes": {"queries": 5, "heads": 16}},
    "causal": {"mask": f.Causal()},
    "window": {"mask": f.Window(2, 1)},
    "segments": {"mask": f.Segments(segments)},
    "lengths": {"mask": f.Lengths(lengths, lengths)},
    "cross, T above S": {"sizes": {"sources": 3}},
    "dense by row": {"mask": (segments[:, None, :, None] >= segments[::-1, None, None, :])},
    "dense by head": {"mask": f.Causal() | (np.arange(8) % 2 == 0)[:, None, None]},
    "causal, a place for each row": {"mask": f.Causal(lengths - 3)},
    "chunked": {"mask": f.Causal() & f.Lengths(lengths), "backend": "chunked"},
}


def named(cases, quick):
    """The default suite has the first; compiling is what takes time."""
    marks = [pytest.mark.slow, pytest.mark.exhaustive]
    return [
        pytest.param(name, marks=[] if place < quick else marks) for place, name in enumerate(cases)
    ]


@pytest.mark.parametrize("name", named(CASES, 6))
def test_output_and_gradients_are_those_of_one_device(name):
    options = dict(CASES[name])
    given = arrays(**options.pop("sizes", {}))
    wanted = jax.jit(lambda *given: with_gradients(partial(f.attend, **options), given))(*given)
    for over in ("batch", "heads"):
        found = with_gradients(partial(replicate.attend, over=over, **options), given)
        for one, other in zip(found, wanted, strict=True):
            close(one, other, err_msg=over)


PARAMETERS = {
    "additive, by head": (lambda x: {"score": partial(f.additive, v=x)}, (8, 4)),
    "dense bias of each row": (lambda x: {"bias": f.ALiBi([0.5] * 8) + x}, (8, 1, 1, 7)),
    "slopes": (lambda x: {"bias": f.ALiBi(x)}, (8,)),
    "table": (lambda x: {"bias": f.T5Buckets(x, max_distance=6)}, (8, 8)),
    "dense bias of all rows": (lambda x: {"bias": x}, (7, 7)),
    "additive, one for all": (lambda x: {"score": partial(f.additive, v=x)}, (4,)),
    "inner score": (
        lambda x: {"score": partial(f.capped, cap=2.0, score=partial(f.bilinear, weight=x))},
        (8, 4, 4),
    ),
    "sink": (lambda x: {"normalize": partial(f.softmax, sink=x)}, (8,)),
    "centers": (lambda x: {"normalize": partial(local, centers=x, reach=2.5)}, (8, 7, 8)),
}


@pytest.mark.parametrize("name", named(PARAMETERS, 2))
def test_parameters_of_options_are_cut_and_have_gradients(name):
    options, shape = PARAMETERS[name]
    parameter = np.random.default_rng(2).normal(2, 1, shape).astype(np.float32)

    def attend(of, query, key, value, parameter):
        return of(query, key, value, **options(parameter))

    given = *arrays(), parameter
    wanted = jax.jit(lambda *given: with_gradients(partial(attend, f.attend), given))(*given)
    for over in ("batch", "heads"):
        found = with_gradients(partial(attend, partial(replicate.attend, over=over)), given)
        for one, other in zip(found, wanted, strict=True):
            close(one, other, err_msg=over)


def rows_of_the_table():
    """Some in the default suite; mechanisms are cut by their types, which all have."""
    late = [pytest.mark.slow, pytest.mark.exhaustive]
    rows = [row for row in ROWS if row.backend == "reference"]
    return [
        pytest.param(row, id=str(row), marks=late if place % 24 else [])
        for place, row in enumerate(rows)
    ]


@pytest.mark.parametrize("row", rows_of_the_table())
def test_every_mechanism_can_be_cut(row):
    case = example(row)
    wanted = f.attend(*case.arrays, **case.options)
    for over in ("batch", "heads"):
        close(replicate.attend(*case.arrays, **case.options, over=over, devices=2), wanted)


@pytest.mark.parametrize("over", ["batch", "heads"])
def test_the_three_stages_are_attention(over):
    query, key, value = arrays(queries=5, heads=16)
    spread = {"over": over, "devices": 4}
    mask, bias = f.Lengths(lengths), f.ALiBi(f.alibi_slopes(16))
    score, share = partial(f.cosine, temperature=0.5), partial(f.softmax, sink=0.0)
    logits = replicate.score(query, key, score=score, bias=bias, **spread)
    close(logits, score(query, key) + bias.array(5, 7)[None])
    weights = replicate.normalize(logits, normalize=share, mask=mask, **spread)
    close(weights, f.explain(query, key, score=score, normalize=share, mask=mask, bias=bias))
    options = {"score": score, "normalize": share, "mask": mask, "bias": bias}
    close(replicate.weigh(weights, value, **spread), f.attend(query, key, value, **options))


def test_several_leading_axes_and_none():
    query, key, value = (x.reshape(4, 2, *x.shape[1:]) for x in arrays())
    mask = f.Lengths(lengths.reshape(4, 2)) & f.Causal(np.array([0, 2]))
    wanted = f.attend(query, key, value, mask=mask)
    for over, devices in (("batch", 4), ("heads", 8)):
        found = replicate.attend(query, key, value, mask=mask, over=over, devices=devices)
        close(found, wanted)
    one = query[0, 0], key[0, 0], value[0, 0]
    close(replicate.attend(*one, over="heads"), f.attend(*one))
    with pytest.raises(ValueError, match=r"query has shape \[7, 8, 4\], without a batch"):
        replicate.attend(*one)


def test_what_comes_back_is_an_ordinary_array_and_can_go_on():
    query, key, value = arrays()
    given = jax.devices()[2:6]
    for devices, home in ((None, jax.devices()[0]), (3 + 1, jax.devices()[0]), (given, given[0])):
        found, *gradients = with_gradients(partial(replicate.attend, devices=devices), (query,) * 3)
        assert {leaf.devices() == {home} for leaf in (found, *gradients)} == {True}
    again = replicate.attend(replicate.attend(query, key, key, over="heads"), key, value)
    close(again, f.attend(f.attend(query, key, key), key, value))


def test_each_device_computes_its_own_piece():
    query, key, value = arrays()
    seen = []

    def score(query, key):
        jax.debug.callback(lambda q: seen.append(q.shape), query)
        return f.dot(query, key)

    for over, shape in (("batch", (1, 7, 8, 4)), ("heads", (8, 7, 1, 4))):
        replicate.score(query, key, score=score, over=over)
        jax.effects_barrier()
        assert seen == [shape] * 8
        seen.clear()


def test_a_second_call_compiles_nothing():
    def call(seed, over):
        given = arrays(queries=6, seed=seed)
        mask = f.Causal() & f.Lengths(np.roll(lengths, seed))
        score = partial(f.additive, v=np.full(4, seed, np.float32))
        return replicate.attend(*given, mask=mask, score=score, over=over).tolist()

    compilations()
    first = [call(0, over) for over in ("batch", "heads")]
    before = compilations()
    assert [call(1, over) for over in ("batch", "heads")] != first
    assert compilations() == before


@pytest.mark.parametrize(
    ("sizes", "options", "words"),
    [
        ({"rows": 9}, {}, "9 rows over 8 devices: 3 devices or a multiple of 8 rows would fit"),
        ({"rows": 7}, {"devices": 2}, "7 rows over 2 devices: 1 device or a multiple of 2 rows"),
        (
            {"heads": 6, "groups": 6},
            {"over": "heads"},
            "6 heads over 8 devices: 6 devices or a multiple of 8 heads would fit",
        ),
        (
            {"groups": 2},
            {"over": "heads", "devices": 8},
            "2 key/value heads over 8 devices: 2 devices or a multiple of 8 key/value heads",
        ),
        ({}, {"over": "head"}, "over is 'head'; 'batch' or 'heads' would fit"),
        ({}, {"devices": 9}, "devices is 9; 1 to 8 would fit"),
        ({}, {"devices": []}, "devices is empty"),
        ({}, {"mask": f.Lengths(lengths[:3])}, r"mask has shape \[3, 1, 1, 7\]"),
        (
            {},
            {"over": "heads", "score": partial(f.sliced_dot, grouping=f.grouping(4, 8))},
            r"cannot cut an array \[H, H\], which mixes heads; over='batch' would fit",
        ),
    ],
)
def test_what_does_not_divide_is_refused(sizes, options, words):
    with pytest.raises(ValueError, match=words):
        replicate.attend(*arrays(**sizes), **options)


def test_a_score_of_ones_own_is_cut_where_its_type_tells():
    query, key, value = arrays()
    gain = np.arange(1, 9, dtype=np.float32)

    def known(query, key, *, gain: Float[Array, "H"]):
        return f.dot(query, key) * gain[None, :, None, None]

    def unknown(query, key, *, gain):
        return known(query, key, gain=gain)

    wanted = f.attend(query, key, value, score=partial(known, gain=gain))
    for over in ("batch", "heads"):
        found = replicate.attend(query, key, value, score=partial(known, gain=gain), over=over)
        close(found, wanted)
        with pytest.raises(ValueError, match=r"unknown: gain has shape \[8\], and its type"):
            replicate.attend(query, key, value, score=partial(unknown, gain=gain), over=over)
    with pytest.raises(ValueError, match=r"array of shape .* within ndarray has no type"):
        replicate.attend(query, key, value, score=partial(unknown, query, key))
