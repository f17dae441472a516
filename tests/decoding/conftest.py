"""A language model that is a table: what follows depends on the row and on the whole past."""

import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

END = 2
STATES = 101


def _cache(table):
    """table: [rows, STATES, V]. The state tells pasts apart, so a wrongly reordered cache shows."""
    rows = len(table)
    return {
        "table": jnp.asarray(table),
        "state": jnp.zeros(rows, jnp.int32),
        "position": jnp.int32(0),
    }


def _advance(state, token):
    return (state * 7 + token * 3 + 1) % STATES


def _step(cache, tokens):
    state = _advance(cache["state"], tokens)
    logits = jnp.take_along_axis(cache["table"], state[:, None, None], axis=1)[:, 0]
    return logits, {**cache, "state": state, "position": cache["position"] + 1}


def _counting(step):
    """A step that also counts how often it runs; read `.count` after `jax.effects_barrier()`."""

    def count():
        counting.count += 1

    def counting(cache, tokens):
        jax.debug.callback(count)
        return step(cache, tokens)

    counting.count = 0
    return counting


def _log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


def _everything(table, length, penalty):
    """Every sequence of at most `length` tokens with END, as (score, padded tokens), best first."""
    words = range(3, table.shape[-1])
    found = []
    for count in range(length):
        for body in itertools.product(words, repeat=count):
            state, total, last = 0, 0.0, 1
            for token in (*body, END):
                state = _advance(state, last)
                total += _log_softmax(table[state])[token]
                last = token
            score = total / ((5 + count + 1) / 6) ** penalty
            found.append((score, [*body, END] + [0] * (length - count - 1)))
    return sorted(found, reverse=True)


def _table(seed, rows, vocabulary, spread=2.0):
    shape = (rows, STATES, vocabulary)
    return np.random.default_rng(seed).normal(0, spread, shape).astype(np.float32)


@pytest.fixture
def toy():
    return SimpleNamespace(
        table=_table,
        cache=_cache,
        step=_step,
        advance=_advance,
        counting=_counting,
        everything=_everything,
    )
