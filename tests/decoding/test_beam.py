from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention_jax.decoding import beam, gather_rows, greedy

PAD, START, END = 0, 1, 2


def search(toy, table, step=None, **options):
    run = partial(beam, step or toy.step, rows=len(table), **options)
    tokens, scores = jax.jit(run)(toy.cache(table))
    return np.asarray(tokens), np.asarray(scores)


@pytest.mark.parametrize("penalty", [0.0, 0.6])
def test_wide_beams_find_what_enumeration_finds(toy, penalty):
    table = toy.table(0, rows=3, vocabulary=6)
    tokens, scores = search(toy, table, length=4, beams=41, penalty=penalty)
    for row in range(3):
        every = toy.everything(table[row], 4, penalty)
        assert len(every) == 40
        np.testing.assert_allclose(scores[row, :40], [score for score, _ in every], rtol=1e-5)
        np.testing.assert_array_equal(tokens[row, :40], [tokens for _, tokens in every])
    assert (scores[:, 40] == -1e9).all() and not tokens[:, 40].any()  # there is no 41st


@pytest.mark.parametrize("penalty", [0.0, 2.0])
def test_the_best_alone_is_the_same_one_sooner(toy, penalty):
    table = toy.table(1, rows=4, vocabulary=6)
    tokens, scores = search(toy, table, length=4, beams=40, penalty=penalty, hypotheses=1)
    every = [toy.everything(row, 4, penalty)[0] for row in table]
    np.testing.assert_allclose(scores[:, 0], [score for score, _ in every], rtol=1e-5)
    np.testing.assert_array_equal(tokens[:, 0], [best for _, best in every])


@pytest.mark.parametrize("penalty", [0.6, 3.0])
def test_one_beam_is_greedy(toy, penalty):
    table = toy.table(2, rows=16, vocabulary=7)
    tokens, _ = search(toy, table, length=9, beams=1, penalty=penalty)
    expected = greedy(toy.step, toy.cache(table), rows=16, length=9)
    np.testing.assert_array_equal(tokens[:, 0], expected)


def test_scores_are_those_of_the_tokens_returned(toy):
    table = toy.table(3, rows=5, vocabulary=6)
    tokens, scores = search(toy, table, length=4, beams=3, penalty=0.6)
    for row in range(5):
        every = {tuple(tokens): score for score, tokens in toy.everything(table[row], 4, 0.6)}
        assert len({tuple(found) for found in tokens[row]}) == 3
        for found, score in zip(tokens[row], scores[row], strict=True):
            np.testing.assert_allclose(score, every[tuple(found)], rtol=1e-5)
    assert (np.diff(scores) <= 0).all()


def test_more_beams_find_better_ones_on_the_whole(toy):
    table = toy.table(4, rows=64, vocabulary=12, spread=1.0)
    means = [
        search(toy, table, length=8, beams=beams, penalty=0.0, hypotheses=1)[1].mean()
        for beams in (1, 4)
    ]
    assert means[0] < means[1]


def test_a_row_does_not_depend_on_its_neighbours(toy):
    """A row that has closed stays as it is while others go on."""
    table = toy.table(5, rows=6, vocabulary=7)
    table[3:, :, END] -= 3  # these rows go on for longer
    together = search(toy, table, length=12, beams=3, penalty=1.0)
    run = jax.jit(partial(beam, toy.step, rows=1, length=12, beams=3, penalty=1.0))
    alone = [run(toy.cache(table[[row]])) for row in range(6)]
    np.testing.assert_array_equal(together[0], np.concatenate([tokens for tokens, _ in alone]))
    np.testing.assert_allclose(
        together[1], np.concatenate([scores for _, scores in alone]), rtol=1e-6
    )


def ends_surely(toy):
    """START, 4, END with much more logit than anything else."""
    table = np.zeros((2, 101, 6), np.float32)
    first = toy.advance(0, START)
    table[:, first, 4] = 20
    table[:, toy.advance(first, 4), END] = 20
    return table


def test_stops_when_nothing_can_beat_the_best(toy):
    counts = {}
    for hypotheses in (1, 4):
        step = toy.counting(toy.step)
        tokens, _ = search(
            toy,
            ends_surely(toy),
            step,
            length=30,
            beams=4,
            penalty=1.0,
            hypotheses=hypotheses,
        )
        jax.effects_barrier()
        counts[hypotheses] = step.count
        np.testing.assert_array_equal(tokens[:, 0, :3], [[4, END, PAD]] * 2)
    assert counts[1] == 2
    assert 2 < counts[4] <= 30  # the second best is not that sure


def test_a_longer_one_may_still_win(toy):
    """The bound looks at the penalty of the full length, not of the length so far."""
    table = np.full((1, 101, 5), -30.0, np.float32)
    state = toy.advance(0, START)
    table[0, state, [END, 3]] = np.log([0.55, 0.45])
    for _ in range(8):  # from there on the long one is certain
        state = toy.advance(state, 3)
        table[0, state, 3] = 0.0
    table[0, state, [3, END]] = [-30.0, 0.0]
    short, _ = search(toy, table, length=12, beams=2, penalty=0.0, hypotheses=1)
    long, score = search(toy, table, length=12, beams=2, penalty=1.0, hypotheses=1)
    assert short[0, 0].tolist() == [END] + [PAD] * 11
    assert long[0, 0].tolist() == [3] * 8 + [END] + [PAD] * 3
    np.testing.assert_allclose(score, [[np.log(0.45) / (14 / 6)]], rtol=1e-5)


def test_marks_are_never_chosen(toy):
    table = toy.table(6, rows=4, vocabulary=6)
    table[:, :, [PAD, START]] += 30
    tokens, scores = search(toy, table, length=5, beams=3, penalty=0.6)
    for row in tokens.reshape(-1, 5).tolist():
        end = row.index(END)
        assert all(token > END for token in row[:end])
        assert row[end + 1 :] == [PAD] * (4 - end)
    # The log-probability is the model's, which gave nearly everything to the marks.
    assert (scores < -20).all()


def test_equal_scores_go_to_the_lower_ids(toy):
    table = np.zeros((1, 101, 6), np.float32)
    table[:, :, END] = -1
    tokens, _ = search(toy, table, length=3, beams=2, penalty=0.0)
    np.testing.assert_array_equal(tokens[0], [[3, 3, END], [3, 4, END]])


def test_only_what_the_model_reorders_is_gathered(toy):
    table = toy.table(7, rows=3, vocabulary=6)

    def reorder(cache, rows):
        return {**cache, "state": cache["state"][rows]}  # beams of a row share the table

    options = {"length": 5, "beams": 4, "penalty": 0.6}
    expected = search(toy, table, **options)
    found = search(toy, table, **options, reorder=reorder)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    unordered, _ = search(toy, table, **options, reorder=lambda cache, rows: cache)
    assert (unordered != expected[0]).any()  # the toy tells right from wrong


def test_gather_rows_leaves_scalars_alone():
    cache = {"keys": jnp.arange(6).reshape(3, 2), "position": jnp.int32(4)}
    gathered = gather_rows(cache, jnp.array([2, 2, 0]))
    np.testing.assert_array_equal(gathered["keys"], [[4, 5], [4, 5], [0, 1]])
    assert gathered["position"] == 4


def test_impossible_tokens_as_minus_infinity(toy):
    table = toy.table(8, rows=2, vocabulary=6)
    table[:, :, 4:] = -np.inf
    tokens, scores = search(toy, table, length=2, beams=3, penalty=0.6)
    np.testing.assert_array_equal(tokens[:, :2].max(axis=(1, 2)), [3, 3])
    assert np.isfinite(scores).all()
    assert (scores[:, 2] == -1e9).all()  # END and 3 END are all there is


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"beams": 0}, "beams is 0"),
        ({"penalty": -0.5}, "penalty is -0.5"),
        ({"penalty": float("nan")}, "penalty is nan"),
        ({"hypotheses": 3}, "hypotheses is 3; with 2 beams at most 2"),
        ({"hypotheses": 0}, "hypotheses is 0"),
        ({"length": 0}, "length is 0"),
        ({"rows": 1}, r"has shape \(2,.*rows = 1"),
    ],
)
def test_refusals(toy, wrong, message):
    options = {"rows": 2, "length": 3, "beams": 2, "penalty": 0.0, **wrong}
    with pytest.raises(ValueError, match=message):
        beam(toy.step, toy.cache(toy.table(0, rows=2, vocabulary=6)), **options)
