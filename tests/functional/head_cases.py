"""The ways to arrange heads, each beside the same as loops over NumPy float64 numbers."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from attention_jax import functional as f
from attention_jax.functional.differential import differential
from attention_jax.functional.heads import gated
from attention_jax.functional.latent import latent_attend
from attention_jax.functional.talking import talking, talking_weights
from tests.functional.case_types import Sees, Sizes

Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
Function = Callable[..., Any]  # (query, key, value, *, mask, bias, normalize, backend) -> output
Plain = Callable[..., np.ndarray]  # (query, key, value, sees, bias=None) -> output [*B, T, H, E]
One = Callable[..., np.ndarray]  # (query, key, value, seen, bias) of one of the batch -> [T, H, E]


@dataclasses.dataclass(frozen=True)
class HeadCase:
    """An arrangement of heads (with its parameters), and the same in plain numbers."""

    name: str
    make: Callable[[Sizes, np.random.Generator], tuple[Function, Plain]]
    groups: Callable[[Sizes], int] = lambda sizes: sizes.G
    shapes: Callable[[Sizes, int], Shapes] = lambda n, groups: (
        (*n.B, n.T, n.H, n.K),
        (*n.B, n.S, groups, n.K),
        (*n.B, n.S, groups, n.E),
    )

    def arrays(self, sizes: Sizes, rng: np.random.Generator, dtype: Any = np.float32) -> Any:
        """A query, a key and a value that the function takes."""
        shapes = self.shapes(sizes, self.groups(sizes))
        return tuple(rng.normal(size=shape).astype(dtype) for shape in shapes)


def over_the_batch(one: One) -> Plain:
    """The same for any leading axes, with what is seen counted out cell by cell."""

    def plain(query, key, value, sees: Sees, bias=None):
        batch = query.shape[:-3]
        flat = [np.asarray(x, np.float64).reshape(-1, *x.shape[-3:]) for x in (query, key, value)]
        outputs = []
        for b, rows in enumerate(zip(*flat, strict=True)):

            def seen(h, t, s, b=b):
                return sees(b, h, t, s)

            added = None
            if bias is not None:
                full = np.broadcast_to(bias, (*batch, *np.shape(bias)[-3:]))
                added = np.asarray(full, np.float64).reshape(-1, *full.shape[-3:])[b]
            outputs.append(one(*rows, seen, added))
        return np.asarray(outputs).reshape(*batch, *outputs[0].shape)

    return plain


def matches(query: np.ndarray, key: np.ndarray, bias: Any = None) -> np.ndarray:
    """q·k / √K of `[T, H, K]` and `[S, G, K]`, plus the bias: `[H, T, S]`."""
    (length, heads, features), (sources, groups, _) = query.shape, key.shape
    logits = np.zeros((heads, length, sources))
    for h in range(heads):
        for t in range(length):
            for s in range(sources):
                logits[h, t, s] = query[t, h] @ key[s, h * groups // heads] / features**0.5
    return logits if bias is None else logits + bias


def mixed(x: np.ndarray, mix: np.ndarray) -> np.ndarray:
    """`[H, T, S]` and `[H, M]` to `[M, T, S]`."""
    heads, many = mix.shape
    return np.asarray([sum(x[h] * float(mix[h, m]) for h in range(heads)) for m in range(many)])


def shares(logits: np.ndarray, seen: Callable[[int, int, int], bool]) -> np.ndarray:
    """The softmax of each row over what it sees: `[H, T, S]`."""
    weights = np.zeros_like(logits)
    heads, length, sources = logits.shape
    for h in range(heads):
        for t in range(length):
            visible = [s for s in range(sources) if seen(h, t, s)]
            raised = {s: np.exp(logits[h, t, s] - max(logits[h, t, visible])) for s in visible}
            for s in visible:
                weights[h, t, s] = raised[s] / sum(raised.values())
    return weights


def shares_heard(
    logits: np.ndarray, mix: np.ndarray, seen: Callable[[int, int, int], bool]
) -> np.ndarray:
    """Each head m joins the others' weights among the sources that m sees as well."""
    heads = len(mix)

    def heard_by(m):
        return shares(logits, lambda h, t, s: seen(h, t, s) and seen(m, t, s))

    return np.asarray([mixed(heard_by(m), mix)[m] for m in range(heads)])


def sums(weights: np.ndarray, value: np.ndarray) -> np.ndarray:
    """`[H, T, S]` weighing `[S, G, E]`: `[T, H, E]`."""
    (heads, length, sources), groups = weights.shape, value.shape[1]
    output = np.zeros((length, heads, value.shape[-1]))
    for h in range(heads):
        for t in range(length):
            for s in range(sources):
                output[t, h] += weights[h, t, s] * value[s, h * groups // heads]
    return output


def plain_attention(query, key, value, seen, bias):
    return sums(shares(matches(query, key, bias), seen), value)


def _plain_heads(sizes: Sizes, rng: np.random.Generator) -> tuple[Function, Plain]:
    return f.attend, over_the_batch(plain_attention)


def _talking(
    before: bool, after: bool, sizes: Sizes, rng: np.random.Generator
) -> tuple[Function, Plain]:
    one, other = rng.normal(size=(2, sizes.H, sizes.H)).astype(np.float32)
    score = partial(talking, mix=one) if before else f.scaled_dot

    def function(query, key, value, *, normalize=f.softmax, **options):
        if after:
            normalize = partial(talking_weights, mix=other, normalize=normalize)
        return f.attend(query, key, value, score=score, normalize=normalize, **options)

    def plain(query, key, value, seen, bias):
        logits = matches(query, key)
        logits = mixed(logits, one) if before else logits
        logits = logits if bias is None else logits + bias
        weights = shares_heard(logits, other, seen) if after else shares(logits, seen)
        return sums(weights, value)

    return function, over_the_batch(plain)


def _sliced(sizes: Sizes, rng: np.random.Generator) -> tuple[Function, Plain]:
    """Neighbouring slices are of one head, two and two."""
    pairs = np.arange(sizes.H) // 2
    same = (pairs[:, None] == pairs[None, :]).astype(np.float32)

    def plain(query, key, value, seen, bias):
        slices = same.sum(0).astype(np.float64)
        logits = mixed(matches(query, key), same) / np.sqrt(slices)[:, None, None]
        return sums(shares(logits if bias is None else logits + bias, seen), value)

    return partial(f.attend, score=partial(f.sliced_dot, grouping=same)), over_the_batch(plain)


def _differential(sizes: Sizes, rng: np.random.Generator) -> tuple[Function, Plain]:
    mixing = rng.uniform(0.2, 0.8, size=sizes.H).astype(np.float32)

    def plain(query, key, value, seen, bias):
        first = plain_attention(query[:, ::2], key[:, ::2], value, seen, bias)
        second = plain_attention(query[:, 1::2], key[:, 1::2], value, seen, bias)
        return first - second * np.asarray(mixing, np.float64)[None, :, None]

    return partial(differential, mixing=mixing), over_the_batch(plain)


ROTARY, WIDTH = 2, 6  # R and C of the latent cases


def _latent(absorbed: bool, sizes: Sizes, rng: np.random.Generator) -> tuple[Function, Plain]:
    """`query` holds both kinds of features, `key` the rotary one, `value` the latent."""
    key_up = rng.normal(size=(WIDTH, sizes.H, sizes.K)).astype(np.float32) / WIDTH**0.5
    value_up = rng.normal(size=(WIDTH, sizes.H, sizes.E)).astype(np.float32) / WIDTH**0.5

    def function(query, key, value, **options):
        return latent_attend(
            query[..., :-ROTARY],
            query[..., -ROTARY:],
            value[..., 0, :],
            key[..., 0, :],
            key_up=key_up.astype(query.dtype),
            value_up=value_up.astype(query.dtype),
            absorbed=absorbed,
            **options,
        )

    def plain(query, key, value, seen, bias):
        sources = range(len(key))
        ups = [np.asarray(up, np.float64) for up in (key_up, value_up)]
        keys, values = (
            np.asarray([[value[s, 0] @ up[:, h] for h in range(sizes.H)] for s in sources])
            for up in ups
        )
        keys = np.concatenate([keys, np.repeat(key, sizes.H, axis=1)], axis=-1)
        return plain_attention(query, keys, values, seen, bias)

    return function, over_the_batch(plain)


def _gated(sizes: Sizes, rng: np.random.Generator) -> tuple[Function, Plain]:
    gate = rng.normal(size=(sizes.H, sizes.E)).astype(np.float32)

    def function(query, key, value, **options):
        output = f.attend(query, key, value, **options)
        opened = gate.reshape((1,) * (output.ndim - 2) + gate.shape).astype(output.dtype)
        return gated(output, np.broadcast_to(opened, output.shape))

    def plain(query, key, value, seen, bias):
        opening = 1 / (1 + np.exp(-np.asarray(gate, np.float64)))
        return plain_attention(query, key, value, seen, bias) * opening[None]

    return function, over_the_batch(plain)


def _two_of_each(n: Sizes, groups: int) -> Shapes:
    return (*n.B, n.T, 2 * n.H, n.K), (*n.B, n.S, 2 * groups, n.K), (*n.B, n.S, groups, n.E)


def _latent_shapes(n: Sizes, groups: int) -> Shapes:
    return (*n.B, n.T, n.H, n.K + ROTARY), (*n.B, n.S, 1, ROTARY), (*n.B, n.S, 1, WIDTH)


HEADS = [
    HeadCase("multi-head", _plain_heads, groups=lambda sizes: sizes.H),
    HeadCase("multi-query", _plain_heads, groups=lambda sizes: 1),
    HeadCase("grouped-query", _plain_heads),
    HeadCase("talking before", partial(_talking, True, False)),
    HeadCase("talking after", partial(_talking, False, True)),
    HeadCase("talking", partial(_talking, True, True)),
    HeadCase("sliced", _sliced),
    HeadCase("differential", _differential, shapes=_two_of_each),
    HeadCase("latent expanded", partial(_latent, False), shapes=_latent_shapes),
    HeadCase("latent absorbed", partial(_latent, True), shapes=_latent_shapes),
    HeadCase("gated", _gated),
]
