"""The fused kernels under our contract, against the reference; each kernel as far as a CPU can.

Splash runs in Pallas's interpreter. What cuDNN and Tokamax are told is checked by telling
`jax.nn.dot_product_attention` the same with its plain XLA implementation.
"""

import importlib.machinery
import re
import sys
import types
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.functional import (
    Causal,
    Lengths,
    Prefix,
    Segments,
    Window,
    additive,
    attend,
    fused,
    softmax,
    splash_tiles,
)
from attention_jax.functional.biases import ALiBi
from attention_jax.functional.mask_parts import Parts, parts, seeing
from attention_jax.functional.scores import capped, dot, scaled_dot

T, S = 139, 165  # several tiles of 128, and no multiple of anything
RNG = np.random.default_rng(0)
SEGMENTS = Segments(RNG.integers(-3, 4, (2, T)), RNG.integers(-3, 3, (2, S)))
LENGTHS = Lengths(jnp.array([0, 77]))
IDS = jnp.array([[1, 1, 1, 2, 2, 3, 3, 3, 0], [1, 2, 2, 2, 2, 2, 0, 0, 0]])
DENSE = RNG.random((2, 1, T, S)) < 0.02  # some rows see nothing

BANDS = {
    "none": None,
    "causal": Causal(),
    "causal, rows in front see nothing": Causal(-3),
    "window": Window(9, 20),
    "window, rows behind see nothing": Window(5, 0, 60),
    "lengths": Lengths(jnp.array([0, 77]), jnp.array([7, T])),
    "causal and lengths": Causal() & LENGTHS,
    "window and lengths": Window(20, 0) & LENGTHS,
    "segments": SEGMENTS,
    "all together": Causal(8) & LENGTHS & SEGMENTS & Window(30, 40),
    "nothing": Causal(-T) & Window(0, 0),
}
ARRAYS = {
    "causal and segments": Causal() & SEGMENTS,
    "prefix": Prefix(3) & LENGTHS,
    "dense": DENSE,
    "dense by head": RNG.random((4, T, S)) < 0.02,
    "causal steps": Causal(jnp.array([-1, 4])),
    "dense and causal": Causal() & DENSE,
    "one column": Lengths(jnp.array(9)) & ~Prefix(3),
}


def _arrays(batch=(2,), length=T, sources=S, heads=4, groups=2, features=8, out=8, dtype="f"):
    def normal(*axes):
        return jnp.asarray(np.random.default_rng(sum(axes)).normal(size=(*batch, *axes)), dtype)

    query = normal(length, heads, features)
    return query, normal(sources, groups, features), normal(sources, groups, out)


def _array(mask):
    return np.asarray(mask if isinstance(mask, np.ndarray) else mask.array(T, S))


def _through_xla(query, key, value, score=scaled_dot, mask=None, bias=None):
    kernel = partial(jax.nn.dot_product_attention, implementation="xla")
    return fused._plain(kernel, query, key, value, score, mask, bias)


def _same(found, wanted, arrays, tolerance=2e-5):
    """Outputs and gradients agree; rows that see nothing and sources unseen are exactly zero."""
    weights = np.random.default_rng(9).normal(size=(*arrays[0].shape[:-1], arrays[2].shape[-1]))

    @partial(jax.jit, static_argnums=0)
    def both(attention, *arrays):
        output, back = jax.vjp(attention, *arrays)
        return output, *back(jnp.asarray(weights, output.dtype))

    ours, theirs = both(found, *arrays), both(wanted, *arrays)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        one, other = np.asarray(one, np.float32), np.asarray(other, np.float32)
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * 3)
    empty = (np.asarray(theirs[0]) == 0).all(-1)
    assert not np.asarray(ours[0])[empty].any() and not np.asarray(ours[1])[empty].any()
    assert not np.asarray(ours[3])[np.asarray(theirs[3]) == 0].any()


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(splash_tiles, "LARGEST", 128)


@pytest.mark.parametrize(
    "name",
    [
        "causal, rows in front see nothing",
        "window, rows behind see nothing",
        "lengths",
        "window and lengths",
        "all together",
        "nothing",
    ],
)
def test_splash_is_the_reference(name, small_tiles):
    mask = BANDS[name]
    splash = partial(fused.splash, mask=mask, interpret=True)
    _same(splash, partial(attend, mask=mask, backend="reference"), _arrays(out=5))


@pytest.mark.parametrize(
    "sizes",
    [
        {"batch": (), "length": 3, "sources": 1, "heads": 2, "groups": 2},
        {"batch": (2, 1), "length": 5, "sources": 300, "heads": 3, "groups": 1},
        {"length": 200, "sources": 5, "heads": 2, "dtype": jnp.bfloat16},
    ],
    ids=str,
)
def test_splash_takes_any_sizes(sizes):
    tolerance = 0.02 if "dtype" in sizes else 2e-5
    splash = partial(fused.splash, mask=Causal(), interpret=True)
    wanted = partial(attend, mask=Causal(), backend="reference")
    _same(splash, wanted, _arrays(**sizes), tolerance)


@pytest.mark.parametrize("name", BANDS | ARRAYS)
def test_what_cudnn_is_told_is_the_mask(name):
    mask = (BANDS | ARRAYS)[name]
    found = partial(_through_xla, mask=mask)
    _same(found, partial(attend, mask=mask, backend="reference"), _arrays())


def test_what_cudnn_is_told_fits_any_leading_axes():
    for batch in ((), (2, 1)):
        mask = Causal() & Lengths(jnp.full(batch, 3))
        wanted = partial(attend, mask=mask, backend="reference")
        _same(partial(_through_xla, mask=mask), wanted, _arrays(batch, 4, 6))
    mask = np.random.default_rng(1).random((2, 1, 4, 4, 6)) < 0.4
    wanted = partial(attend, mask=mask, backend="reference")
    _same(partial(_through_xla, mask=mask), wanted, _arrays((2, 1), 4, 6))


@pytest.mark.parametrize("mask", [None, Causal(-2), DENSE[0]], ids=["none", "causal", "dense"])
def test_a_bias_and_its_gradient(mask):
    bias = np.random.default_rng(2).normal(size=(4, T, S)).astype("f")
    bias = bias if mask is None else np.where(_array(mask), bias, np.nan)
    _same(
        lambda *arrays: _through_xla(*arrays[:3], mask=mask, bias=arrays[3]),
        lambda *arrays: attend(*arrays[:3], mask=mask, bias=arrays[3], backend="reference"),
        (*_arrays(), jnp.asarray(bias)),
    )


BY_HEAD = partial(scaled_dot, scale=jnp.array([0.1, -0.2, 0.3, 0.4]))
SCORES = {"dot": dot, "scale": partial(scaled_dot, scale=0.3), "scale by head": BY_HEAD}


@pytest.mark.parametrize("name", SCORES)
def test_scores_that_cudnn_knows(name):
    given = {"score": SCORES[name], "mask": Causal()}
    wanted = partial(attend, **given, backend="reference")
    _same(partial(_through_xla, **given), wanted, _arrays(length=7, sources=9))


def test_splash_scales_and_caps_logits():
    given = {"score": partial(capped, cap=0.5, score=BY_HEAD), "mask": Causal()}
    wanted = partial(attend, **given, backend="reference")
    splash = partial(fused.splash, **given, interpret=True)
    _same(splash, wanted, _arrays(length=7, sources=9))


def test_under_vmap_and_x64():
    mask = Causal() & Lengths(jnp.array(3))
    arrays = _arrays(length=4, sources=6)
    wanted = attend(*arrays, mask=mask, backend="reference")
    with jax.enable_x64(True):
        for kernel in (_through_xla, partial(fused.splash, interpret=True)):
            found = jax.vmap(partial(kernel, mask=mask))(*arrays)
            np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)


def test_no_array_of_all_pairs_where_none_is_needed():
    for mask in (Causal(), Window(3, 0), Causal() & LENGTHS, Window(9, 0) & LENGTHS, LENGTHS):
        given = fused.arguments(mask, None, None, (2, 4, T, S), jnp.float32)
        assert given and not given.keys() & {"mask", "bias"}
    assert fused.arguments(None, None, None, (2, 4, T, S), jnp.float32) == {}
    assert fused.arguments(Window(3, 0), None, None, (2, 4, 8, 8), jnp.float32) == {
        "is_causal": True,
        "local_window_size": (3, 0),
    }
    left = fused.arguments(Causal() & DENSE, None, None, (2, 4, T, S), jnp.float32)
    assert left["is_causal"] and left["mask"].shape == (2, 1, T, S)


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [((4, 6), (4, 6)), ((3, 5), (4, 6)), ((5, 191), (6, 256)), ((2, 64), (2, 128))],
)
def test_lengths_at_which_cudnn_fails_are_padded(sizes, wanted):
    arrays = list(_arrays((1,), *sizes))
    padded, given = fused.even(arrays, {"mask": jnp.ones((1, 1, *sizes), bool)})
    assert given["mask"].shape[-2:] == wanted
    assert [x.shape[1] for x in padded] == [wanted[0], wanted[1], wanted[1]]
    assert given["mask"].sum() == wanted[0] * sizes[1]
    assert fused.even(arrays, {})[0] is arrays


def test_what_is_hidden_by_a_mask_object_passes_no_gradient_of_its_own():
    query, key, value = _arrays(length=4, sources=6)
    query = query.at[0].set(jnp.nan)  # the first of the batch sees nothing
    gradients = jax.grad(lambda *x: _through_xla(*x, mask=LENGTHS).sum(), (0, 1, 2))
    for gradient in gradients(query, key, value):
        assert (gradient[0] == 0).all() and jnp.isfinite(gradient).all()


def test_empty_sizes():
    for kernel in (_through_xla, partial(fused.splash, interpret=True)):
        assert kernel(*_arrays(length=0)).shape == (2, 0, 4, 8)
        assert (kernel(*_arrays(sources=0)) == 0).all()


def test_the_parts_of_a_mask():
    found = parts(Causal(3) & Window(4, 9, 1) & LENGTHS & (SEGMENTS & Prefix(2)))
    assert (found.low, found.high) == (-3, 3)
    assert found.lengths == (LENGTHS,) and found.segments == (SEGMENTS,)
    assert repr(found.rest) == "Prefix(length=2)"
    assert parts(None) == Parts()
    assert parts(Causal(jnp.array(0))).rest is not None
    assert Parts(low=2, high=1).rows(5, 5) == range(0)
    assert seeing(Causal() & Window(3, 0), (2, 4, 5, 7)) is None


def test_which_rows_see_something():
    shape = (2, 4, T, S)
    for name, mask in (BANDS | ARRAYS).items():
        sees = seeing(mask, shape)
        array = np.ones(shape, bool) if mask is None else _array(mask)
        wanted = np.broadcast_to(array, shape).any(-1).swapaxes(-1, -2)
        found = np.broadcast_to(True if sees is None else np.asarray(sees), wanted.shape)
        np.testing.assert_array_equal(found, wanted, err_msg=name)


@pytest.mark.parametrize(
    ("mask", "known"),
    [
        (Segments(IDS), True),
        (Causal() & Segments(IDS), True),
        (Window(2, 0) & Segments(IDS), True),
        (Causal(-1) & Segments(IDS), False),
        (Segments(IDS, IDS[:, ::-1]), False),
        (Segments(IDS) & Lengths(jnp.array([5, 2])), False),
        (Segments(IDS) & ~Prefix(1), False),
    ],
)
def test_packed_texts_see_themselves_which_costs_nothing(mask, known):
    sees = seeing(mask, (2, 4, 9, 9))
    wanted = np.asarray(mask.array(9, 9)).any(-1)
    assert (sees is None) == known
    assert wanted.all() if known else (np.asarray(sees)[..., 0] == wanted[:, 0]).all()


HALF = {"dtype": jnp.bfloat16}
BIAS = jnp.zeros((4, T, S), jnp.bfloat16)
REFUSALS = [
    ("cudnn", {}, {"platform": "cpu"}, "the platform is cpu: cudnn needs gpu"),
    ("splash", {}, {"platform": "gpu"}, "the platform is gpu: splash needs tpu"),
    ("cudnn", HALF, {"normalize": jax.nn.relu}, "normalize=relu: cudnn computes the plain softmax"),
    ("splash", {}, {"normalize": partial(softmax, sink=0.0)}, r"partial\(softmax, sink=...\)"),
    ("cudnn", HALF, {"score": partial(additive, v=0)}, r"score=partial\(additive.*: cudnn comp"),
    ("cudnn", HALF, {"score": partial(capped, cap=5.0)}, "cudnn has no soft cap"),
    ("splash", {}, {"score": partial(capped, cap=5.0, score=additive)}, "scaled dot products only"),
    ("cudnn", {}, {}, "query has dtype float32.*: cudnn takes them all in bfloat16 or float16"),
    ("splash", {"dtype": jnp.float16}, {}, "splash takes them all in bfloat16 or float32"),
    ("cudnn", HALF | {"features": 12, "out": 12}, {}, "query has 12 features.*multiple of 8"),
    ("cudnn", HALF | {"features": 320, "out": 320}, {}, "query has 320 features.*at most 128"),
    ("cudnn", HALF | {"out": 16}, {}, "value has 16 features, query 8"),
    ("splash", {}, {"bias": BIAS}, "bias: splash adds none"),
    ("splash", {}, {"mask": Causal() & Prefix(2)}, r"mask=Prefix\(length=2\): splash takes Causal"),
    ("splash", {}, {"mask": Causal(jnp.array(0))}, "whose offset is a Python int"),
    ("splash", {}, {"mask": DENSE}, "mask=Dense"),
    ("splash", {}, {"mask": SEGMENTS & SEGMENTS}, "splash takes one Segments"),
    ("cudnn", HALF, {"bias": ALiBi(jnp.ones(4))}, "bias=ALiBi.*adds an array of query's dtype"),
    ("cudnn", HALF, {"bias": BIAS.astype("f")}, "bias has dtype float32"),
    ("cudnn", HALF, {"bias": BIAS.reshape(1, 4, T, S).repeat(2, 0)}, "to the whole batch"),
    ("cudnn", HALF, {"bias": BIAS, "mask": LENGTHS}, "bias with a mask that differs along the bat"),
]


@pytest.mark.parametrize(("backend", "sizes", "options", "message"), REFUSALS)
def test_refusals_name_what_is_at_fault(backend, sizes, options, message):
    arrays = _arrays(**sizes)
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays]
    why = fused.refusal(backend, *shapes, **options)
    assert why is not None
    assert re.search(message, why), why
    if "platform" not in options:
        with pytest.raises(ValueError, match="cannot serve this: "):
            getattr(fused, backend)(*arrays, **options)


def test_what_is_not_refused():
    half = _arrays(**HALF)
    every = (BANDS | ARRAYS).values()
    assert not any(fused.refusal("cudnn", *half, mask=mask, platform="gpu") for mask in every)
    assert not any(fused.refusal("splash", *half, mask=mask) for mask in BANDS.values())
    assert fused.refusal("cudnn", *half, bias=BIAS, mask=Causal()) is None
    assert fused.refusal("cudnn", *_arrays(features=256, out=256, **HALF)) is None


def test_tokamax_is_asked_for_kernels_by_name(monkeypatch):
    asked = {}

    def kernel(query, key, value, *, implementation, logits_soft_cap=None, **given):
        asked.update(given, implementation=implementation, cap=logits_soft_cap)
        return jax.nn.dot_product_attention(query, key, value, implementation="xla", **given)

    stub = types.ModuleType("tokamax")
    stub.__spec__ = importlib.machinery.ModuleSpec("tokamax", None)
    stub.dot_product_attention = kernel
    monkeypatch.setitem(sys.modules, "tokamax", stub)
    wanted = partial(attend, mask=LENGTHS, backend="reference")
    _same(partial(fused.tokamax, mask=LENGTHS), wanted, _arrays(length=4, sources=6))
    assert asked.pop("key_value_seq_lengths").shape == (2,)
    assert asked == {"scale": 8**-0.5, "implementation": ("mosaic", "triton"), "cap": None}
    fused.tokamax(*_arrays(), score=partial(capped, cap=5))
    assert asked["cap"] == 5.0


def test_tokamax_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="tokamax is not installed: pip install tokamax"):
        fused.tokamax(*_arrays())
