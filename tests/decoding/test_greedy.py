from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.decoding import greedy

PAD, START, END = 0, 1, 2


def chain(toy, table, length):
    """What greedy search does, in NumPy, for one row."""
    state, last, tokens = 0, START, []
    for position in range(length):
        state = toy.advance(state, last)
        last = END if position == length - 1 else END + int(np.argmax(table[state][END:]))
        tokens.append(last)
        if last == END:
            break
    return tokens + [PAD] * (length - len(tokens))


def test_the_argmax_chain(toy):
    table = toy.table(0, rows=8, vocabulary=7)
    tokens = jax.jit(partial(greedy, toy.step, rows=8, length=9))(toy.cache(table))
    expected = [chain(toy, row, 9) for row in table]
    np.testing.assert_array_equal(tokens, expected)
    assert tokens.dtype == jnp.int32
    assert len({row.index(END) for row in expected}) > 2  # rows end at different places


def test_marks_are_never_chosen_and_the_last_position_ends(toy):
    table = toy.table(1, rows=4, vocabulary=6)
    table[:, :, [PAD, START]] += 100  # the model would love to
    table[:, :, END] -= 100
    tokens = np.asarray(greedy(toy.step, toy.cache(table), rows=4, length=5))
    assert (tokens[:, -1] == END).all()
    assert (tokens[:, :-1] > END).all()


def test_equal_logits_go_to_the_lower_id(toy):
    table = np.zeros((2, 101, 6), np.float32)
    table[:, :, END] = -1
    tokens = greedy(toy.step, toy.cache(table), rows=2, length=4)
    np.testing.assert_array_equal(tokens, [[3, 3, 3, END]] * 2)


def test_stops_when_all_rows_have_ended(toy):
    table = toy.table(2, rows=3, vocabulary=6)
    table[:, toy.advance(toy.advance(0, START), 4), END] = 50  # START, 4, END
    table[:, toy.advance(0, START), 4] = 50
    step = toy.counting(toy.step)
    tokens = greedy(step, toy.cache(table), rows=3, length=50)
    jax.effects_barrier()
    assert step.count == 2
    np.testing.assert_array_equal(tokens[:, :3], [[4, END, PAD]] * 3)
    assert not tokens[:, 3:].any()


def test_impossible_tokens_as_minus_infinity_and_half_precision(toy):
    table = toy.table(3, rows=2, vocabulary=6)
    table[:, :, 3:] = -np.inf
    cache = toy.cache(table)
    cache["table"] = cache["table"].astype(jnp.bfloat16)
    tokens = greedy(toy.step, cache, rows=2, length=4)
    np.testing.assert_array_equal(tokens, [[END, PAD, PAD, PAD]] * 2)


@pytest.mark.parametrize("sizes", [{"rows": 0, "length": 3}, {"rows": 2, "length": 0}])
def test_sizes_below_one(toy, sizes):
    with pytest.raises(ValueError, match="is 0; it must be at least 1"):
        greedy(toy.step, {}, **sizes)


def test_a_cache_of_other_rows(toy):
    cache = toy.cache(toy.table(0, rows=3, vocabulary=6))
    with pytest.raises(ValueError, match=r"cache\['state'\] has shape \(3,\).*rows = 2"):
        greedy(toy.step, cache, rows=2, length=4)


def test_logits_of_another_shape():
    def step(cache, tokens):
        return jnp.zeros((2, 2)), cache

    with pytest.raises(ValueError, match=r"\(2, 2\); \[2, V\] with V of at least 3"):
        greedy(step, jnp.int32(0), rows=2, length=4)
