import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attention_jax.functional import Causal, Lengths, Window, attend
from attention_jax.functional.compressed import (
    CompressedCausal,
    compress,
    compressed_attend,
    compressed_mask,
)

RNG = np.random.default_rng(0)
T = S = 11
QUERY = RNG.normal(size=(2, T, 4, 3)).astype(np.float32)
KEY = RNG.normal(size=(2, S, 2, 5)).astype(np.float32)
VALUE = RNG.normal(size=(2, S, 2, 6)).astype(np.float32)
KEY_KERNEL = RNG.normal(size=(3, 5, 3)).astype(np.float32)
VALUE_KERNEL = RNG.normal(size=(3, 6, 4)).astype(np.float32)
KERNELS = {"key_kernel": KEY_KERNEL, "value_kernel": VALUE_KERNEL}


def plain_compress(x, kernel, stride, bias=None, lengths=None):
    """Section 4.2.3 by loops over float64 numbers."""
    batch, length, groups, _ = x.shape
    width, out = kernel.shape[0], kernel.shape[-1]
    slots = [m for m in range(length) if m * stride < length]
    made = np.zeros((batch, len(slots), groups, out))
    for b in range(batch):
        real = length if lengths is None else lengths[b]
        for m in slots:
            for g in range(groups):
                made[b, m, g] = 0 if bias is None else bias
                for w in range(width):
                    source = m * stride + w
                    if source < min(length, real):
                        matrix = kernel[w, g] if kernel.ndim == 4 else kernel[w]
                        made[b, m, g] += x[b, source, g].astype(np.float64) @ matrix
    return made


def plain_attention(query, key, value, sees):
    output = np.zeros((*query.shape[:3], value.shape[-1]))
    for b, t, h in np.ndindex(*query.shape[:3]):
        g = h // (query.shape[2] // key.shape[2])
        slots = [m for m in range(key.shape[1]) if sees(b, t, m)]
        if slots:
            logits = [query[b, t, h] @ key[b, m, g] / query.shape[-1] ** 0.5 for m in slots]
            shares = np.exp(np.array(logits) - max(logits))
            output[b, t, h] = shares / shares.sum() @ [value[b, m, g] for m in slots]
    return output


@pytest.mark.parametrize(("width", "stride"), [(3, 3), (5, 2), (1, 1), (2, 3), (13, 4)])
@pytest.mark.parametrize("lengths", [None, [4, 0], [11, 7]], ids=str)
@pytest.mark.parametrize("by_head", [False, True])
def test_compress_is_the_loop(width, stride, lengths, by_head):
    kernel = RNG.normal(size=(width, 2, 5, 3) if by_head else (width, 5, 3)).astype(np.float32)
    bias = RNG.normal(size=3).astype(np.float32)
    mask = None if lengths is None else Lengths(lengths)
    found = jax.jit(compress, static_argnames="stride")(
        KEY, kernel=kernel, stride=stride, bias=bias, mask=mask
    )
    wanted = plain_compress(KEY, kernel, stride, bias, lengths)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_picture_of_a_compressed_causal_mask():
    assert str(CompressedCausal(2, 3) & np.ones((6, 3), bool)).splitlines()[1:] == [
        "· · ·",
        "· · ·",
        "■ · ·",
        "■ · ·",
        "■ ■ ·",
        "■ ■ ·",
    ]


def test_offsets_of_a_cache_move_the_mask():
    seen = CompressedCausal(3, 3, jnp.array([0, 4])).array(1, 4)
    np.testing.assert_array_equal(seen[:, 0, 0], [[False] * 4, [True, False, False, False]])


@pytest.mark.parametrize("lengths", [None, [4, 0], [11, 7]], ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_equals_the_oracle(causal, lengths):
    parts = [Causal()] * causal + [Lengths(lengths)] * (lengths is not None)
    mask = None if not parts else parts[0] if len(parts) == 1 else parts[0] & parts[1]
    found = compressed_attend(QUERY, KEY, VALUE, **KERNELS, mask=mask)

    def sees(b, t, m):
        some = lengths is None or any(s < lengths[b] for s in range(3 * m, 3 * m + 3))
        return some and (not causal or all(s <= t for s in range(3 * m, 3 * m + 3)))

    wanted = plain_attention(
        QUERY.astype(np.float64),
        plain_compress(KEY, KEY_KERNEL, 3, lengths=lengths),
        plain_compress(VALUE, VALUE_KERNEL, 3, lengths=lengths),
        sees,
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_width_one_and_stride_one_is_attention():
    eye = {"key_kernel": np.eye(3, dtype="f")[None], "value_kernel": np.eye(6, dtype="f")[None]}
    found = compressed_attend(QUERY, KEY[..., :3], VALUE, **eye, stride=1, mask=Causal())
    wanted = attend(QUERY, KEY[..., :3], VALUE, mask=Causal())
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_no_output_depends_on_the_future(stride):
    def outputs(key, value):
        return compressed_attend(QUERY, key, value, **KERNELS, stride=stride, mask=Causal()).sum(
            (0, 2, 3)
        )

    for moved in jax.jit(jax.jacrev(outputs, (0, 1)))(KEY, VALUE):
        by_source = np.abs(np.asarray(moved)).sum((1, 3, 4))  # [T, S]
        assert (by_source[np.triu_indices(T, 1)] == 0).all()
        assert by_source.any()
    short = compressed_attend(
        QUERY[:, :7], KEY[:, :7], VALUE[:, :7], **KERNELS, stride=stride, mask=Causal()
    )
    whole = compressed_attend(QUERY, KEY, VALUE, **KERNELS, stride=stride, mask=Causal())
    np.testing.assert_allclose(whole[:, :7], short, rtol=1e-5, atol=1e-6)


def test_what_is_masked_influences_nothing():
    mask = Causal() & Lengths([4, 8])
    key, value = KEY.copy(), VALUE.copy()
    for b, real in enumerate((4, 8)):
        key[b, real:], value[b, real:] = np.nan, np.inf
    key[1, 6] = np.nan  # in slot 2, which the queries from 8 on see
    hit = np.zeros((2, T, 1, 1), bool)
    hit[1, 8:] = True

    def loss(query, key, value, kernels):
        output = compressed_attend(query, key, value, **kernels, mask=mask)
        return jnp.sum(jnp.where(hit, 0, output) ** 2), output

    gradient = jax.grad(loss, (0, 1, 2, 3), has_aux=True)
    wanted, clean = gradient(QUERY, KEY, VALUE, KERNELS)
    found, output = gradient(QUERY, key, value, KERNELS)
    np.testing.assert_array_equal(np.where(hit, 0, output), np.where(hit, 0, clean))
    assert np.isnan(np.asarray(output)[1, 8:]).all()
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert (np.asarray(output)[:, :2] == 0).all()


def test_gradients():
    with jax.enable_x64(True):
        arrays = [x.astype(np.float64) for x in (QUERY, KEY, VALUE, KEY_KERNEL, VALUE_KERNEL)]

        def outputs(query, key, value, key_kernel, value_kernel):
            return compressed_attend(
                query,
                key,
                value,
                key_kernel=key_kernel,
                value_kernel=value_kernel,
                mask=Causal() & Lengths([4, 11]),
            )

        check_grads(jax.jit(outputs), arrays, order=1, atol=1e-6, rtol=1e-6)


def test_vmap_and_no_batch():
    one = jax.vmap(
        lambda q, k, v, n: compressed_attend(q, k, v, **KERNELS, mask=Causal() & Lengths(n))
    )
    lengths = jnp.array([4, 11])
    np.testing.assert_allclose(
        one(QUERY, KEY, VALUE, lengths),
        compressed_attend(QUERY, KEY, VALUE, **KERNELS, mask=Causal() & Lengths(lengths)),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_short_floats(dtype):
    arrays = [x.astype(dtype) for x in (QUERY, KEY, VALUE)]
    found = compressed_attend(*arrays, **KERNELS, mask=Causal())
    assert found.dtype == dtype
    wide = [np.asarray(x, np.float32) for x in arrays]
    exact = compressed_attend(*wide, **KERNELS, mask=Causal())
    one = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(
        np.asarray(found, np.float32), exact, rtol=4 * one, atol=16 * one * np.abs(exact).max()
    )


def test_no_sources():
    found = compressed_attend(QUERY, KEY[:, :0], VALUE[:, :0], **KERNELS)
    assert found.shape == (2, T, 4, 4) and (np.asarray(found) == 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: compress(KEY, kernel=KEY_KERNEL, stride=0), "stride=0; wanted a whole number"),
        (lambda: compress(KEY, kernel=VALUE_KERNEL), r"kernel has shape \[3, 6, 4\], wanted"),
        (lambda: compress(KEY, kernel=KEY_KERNEL, mask=Window(1, 1)), "mask holds Window"),
        (lambda: compressed_mask(Causal() & np.ones((3, 3), bool)), "mask holds Dense"),
        (lambda: CompressedCausal(3, 0), "width=0; wanted a whole number, one or more"),
        (
            lambda: compressed_attend(
                QUERY, KEY, VALUE, key_kernel=KEY_KERNEL, value_kernel=VALUE_KERNEL[:2]
            ),
            "wanted as many sources W first in both",
        ),
        (
            lambda: compressed_attend(QUERY, KEY, VALUE, **KERNELS, mask=np.ones((T, S), bool)),
            r"mask holds Dense\(values=bool\[11, 11\]\); wanted Causal, Lengths",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
