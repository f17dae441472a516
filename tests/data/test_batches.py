"""Batches: every pair once an epoch, few shapes, an order that the seed decides, exact resuming."""

import concurrent.futures
import hashlib
import itertools
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attention_jax.data.batches import (
    Batch,
    BatchPlan,
    Examples,
    encode_pairs,
    eval_batches,
    part_of,
    train_iterator,
)
from attention_jax.data.pair import Pair
from attention_jax.data.text import DataError
from attention_jax.data.tokens import END, PAD, START, Tokenizer


def made(count: int, longest: int = 30, seed: int = 0) -> Examples:
    """Examples whose first source token tells which one it is."""
    rng = np.random.default_rng(seed)
    sides = []
    for _ in range(2):
        sizes = rng.integers(1, longest, size=count)
        sides.append([rng.integers(3, 50, size=size, dtype=np.int32) for size in sizes])
        for n in range(count):
            sides[-1][n][0] = 100 + n
    return Examples(*sides, max_length=longest, kept=np.arange(count))


def same(one: Batch, other: Batch) -> bool:
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def rows(batch: Batch) -> list[tuple[list[int], list[int]]]:
    """The pairs in a batch, read back through every rule of its layout."""
    found = []
    for source, before, after, weights in zip(*batch, strict=True):
        real = int(weights.sum())
        assert weights.tolist() == [1.0] * real + [0.0] * (len(weights) - real)
        assert (after[real:] == PAD).all() and (before[real:] == PAD).all()
        used = int((source != PAD).sum())
        assert (source[used:] == PAD).all()
        if real == 0:
            assert used == 0
            continue
        assert after[real - 1] == END and source[used - 1] == END and before[0] == START
        assert (before[1:real] == after[: real - 1]).all()
        found.append((source[: used - 1].tolist(), after[: real - 1].tolist()))
    return found


def as_lists(examples: Examples) -> list[tuple[list[int], list[int]]]:
    return [
        (s.tolist(), t.tolist()) for s, t in zip(examples.sources, examples.targets, strict=True)
    ]


@given(
    count=st.integers(1, 60),
    longest=st.integers(2, 40),
    tokens=st.integers(1, 200),
    shapes=st.integers(1, 5),
    seed=st.integers(0, 3),
)
def test_every_pair_once_an_epoch_in_few_shapes(count, longest, tokens, shapes, seed):
    examples = made(count, longest, seed)
    plan = BatchPlan(examples, tokens=tokens, shapes=shapes, seed=seed)
    wanted = sorted(as_lists(examples))
    assert 1 <= len(plan.shapes) <= shapes
    positions = 0
    for epoch in range(2):
        batches = [plan[epoch * len(plan) + i] for i in range(len(plan))]
        assert sorted(itertools.chain.from_iterable(map(rows, batches))) == wanted
        for batch in batches:
            assert batch.source.shape in plan.shapes and len({a.shape for a in batch}) == 1
            assert batch.source.size <= tokens or batch.source.shape[0] == 1
            positions += 2 * batch.source.size
    used = sum(len(side) + 1 for side in (*examples.sources, *examples.targets))
    assert plan.padding == pytest.approx(1 - 2 * used / positions)


def test_dtypes():
    batch = BatchPlan(made(10), tokens=64)[0]
    assert [array.dtype for array in batch] == [np.int32, np.int32, np.int32, np.float32]


def test_a_batch_is_a_function_of_seed_and_number():
    examples = made(200)
    plan, again = (BatchPlan(examples, tokens=256, seed=7) for _ in range(2))
    numbers = [5 * len(plan) + 3, 0, 2, len(plan), 1, 5 * len(plan) + 3]
    assert all(same(plan[i], again[i]) for i in numbers)
    assert same(plan[numbers[0]], plan[numbers[-1]])
    other = BatchPlan(examples, tokens=256, seed=8)
    assert not all(same(plan[i], other[i]) for i in range(len(plan)))


def test_epochs_differ_in_pairs_and_in_order():
    plan = BatchPlan(made(300), tokens=256)
    epochs = [[plan[e * len(plan) + i] for i in range(len(plan))] for e in range(2)]
    together = [{tuple(sorted(s[0] for s, _ in rows(b))) for b in epoch} for epoch in epochs]
    assert together[0] != together[1]
    lengths = [[batch.source.shape[1] for batch in epoch] for epoch in epochs]
    assert lengths[0] != lengths[1] and sorted(lengths[0]) == sorted(lengths[1])


def test_the_order_is_the_same_on_every_machine():
    """Written down once: a new NumPy must not move a resumed run to other batches."""
    sides = [[np.full(1 + 7 * n % 29, 100 + n, dtype=np.int32) for n in range(40)]] * 2
    plan = BatchPlan(Examples(*sides, max_length=30, kept=np.arange(40)), tokens=128, seed=3)
    assert [int(plan[i].source[0, 0]) - 100 for i in range(6)] == [11, 10, 18, 20, 28, 0]


def test_the_iterator_reads_the_plan_in_order_without_end():
    plan = BatchPlan(made(30), tokens=128)
    reader = train_iterator(plan)
    count = 2 * len(plan) + 3
    assert all(same(next(reader), plan[i]) for i in range(count))
    assert reader.get_state() == {"next_index": count}


@pytest.mark.parametrize("position", [0, 1, 7, 50])
def test_a_restored_iterator_goes_on_exactly(position):
    examples = made(100)
    reader = train_iterator(BatchPlan(examples, tokens=128, seed=2))
    for _ in range(position):
        next(reader)
    state = reader.get_state()
    wanted = [next(reader) for _ in range(20)]
    fresh = train_iterator(BatchPlan(examples, tokens=128, seed=2), threads=3, ahead=5)
    next(fresh)
    fresh.set_state(state)
    assert all(same(next(fresh), batch) for batch in wanted)
    reader.set_state(state)  # back, in the same iterator
    assert all(same(next(reader), batch) for batch in wanted)


def together(parts: list[Batch]) -> Batch:
    return Batch(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


@pytest.mark.parametrize(("of", "multiple"), [(1, 1), (1, 3), (2, 2), (3, 3), (4, 8), (2, 6)])
def test_parts_of_a_batch_are_the_batch_and_empty_rows(of, multiple):
    plan = BatchPlan(made(45), tokens=128, seed=1)
    for index in range(len(plan) + 2):
        parts = [plan.share(index, part, of, multiple=multiple) for part in range(of)]
        whole, found = plan[index], together(parts)
        rows = len(whole.source)
        assert len({len(part.source) for part in parts}) == 1
        assert len(found.source) == rows + -rows % multiple
        assert same(Batch(*(array[:rows] for array in found)), whole)
        assert not any(array[rows:].any() for array in found)
        for part in range(of):
            assert same(part_of(whole, part, of, multiple=multiple), parts[part])


def test_a_part_is_read_and_resumed_like_the_whole():
    plan = BatchPlan(made(45), tokens=128, seed=1)
    reader = train_iterator(plan, share=(1, 2), multiple=2)
    for index in range(5):
        assert same(next(reader), plan.share(index, 1, 2, multiple=2))
    state = reader.get_state()
    assert state == train_state(plan, 5)
    other = train_iterator(plan, share=(0, 4), multiple=4)
    other.set_state(state)  # as many processes as there now are go on from there
    assert same(next(other), plan.share(5, 0, 4, multiple=4))


def train_state(plan: BatchPlan, done: int):
    reader = train_iterator(plan)
    for _ in range(done):
        next(reader)
    return reader.get_state()


def test_parts_that_are_none_are_refused():
    plan = BatchPlan(made(10), tokens=90, shapes=1)
    rows = plan.shapes[0][0]
    for part, of in ((2, 2), (-1, 2), (0, 0), (0, rows + 1)):
        with pytest.raises(ValueError, match="as many parts as divide the rows"):
            plan.share(0, part, of)
    with pytest.raises(IndexError):
        plan.share(-1, 0, 1)


def test_many_threads_read_the_same():
    examples = made(100)
    plan, alone = (BatchPlan(examples, tokens=64, seed=1) for _ in range(2))
    numbers = np.random.default_rng(0).integers(0, 6 * len(plan), size=200).tolist()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(plan.__getitem__, numbers))
    assert all(same(batch, alone[i]) for i, batch in zip(numbers, found, strict=True))
    assert len(plan._epochs) <= 3


def test_the_plan_describes_itself():
    plan = BatchPlan(made(100), tokens=128)
    assert repr(plan).startswith(
        f"BatchPlan(100 pairs, {len(plan)} batches an epoch, rows x length"
    )
    assert f"padding {plan.padding:.1%}" in repr(plan)
    assert len(list(plan)) == len(plan)


@pytest.mark.parametrize(("name", "value"), [("tokens", 0), ("shapes", 0), ("seed", -1)])
def test_a_plan_refuses_impossible_numbers(name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least .* not {value}"):
        BatchPlan(made(5), **{"tokens": 64, name: value})


def test_a_plan_needs_examples():
    with pytest.raises(ValueError, match="no examples"):
        BatchPlan(Examples([], [], 8, np.arange(0)), tokens=64)
    with pytest.raises(IndexError, match="-1"):
        BatchPlan(made(5), tokens=64)[-1]


def test_eval_batches_keep_the_order_in_one_shape():
    examples = made(25, longest=30)
    batches = eval_batches(examples, tokens=128)
    assert len({batch.source.shape for batch in batches}) == 1
    assert batches[0].source.size <= 128
    assert list(itertools.chain.from_iterable(map(rows, batches))) == as_lists(examples)
    assert eval_batches(examples, tokens=128, length=64)[0].source.shape == (2, 64)
    with pytest.raises(ValueError, match="length 8 is short"):
        eval_batches(examples, tokens=128, length=8)


def test_encode_pairs_drops_the_too_long_and_says_so():
    texts = ["a", "a a", "a a a", "a a a a"]
    tokenizer = Tokenizer.train(texts, 259 + 5)
    pairs = [Pair(texts[0], texts[1]), Pair(texts[3], texts[0]), Pair(texts[2], texts[2])]
    pairs.append(Pair(texts[0], texts[3]))
    examples = encode_pairs(pairs, tokenizer, max_length=4)
    assert [tokenizer.decode(ids) for ids in examples.sources] == ["a", "a a a"]
    assert [tokenizer.decode(ids) for ids in examples.targets] == ["a a", "a a a"]
    assert examples.dropped == 2 and examples.kept.tolist() == [0, 2] and len(examples) == 2
    assert examples.note.startswith("dropped 2 of 4 pairs with more than 4 tokens")
    assert examples.sources[0].dtype == np.int32
    with pytest.raises(DataError, match="none of 4 pairs has at most 1 tokens a side.* has 3"):
        encode_pairs(pairs, tokenizer, max_length=1)
    with pytest.raises(DataError, match="none of 0 pairs"):
        encode_pairs([], tokenizer, max_length=4)


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("token", [-1, 200, 2**40])
@pytest.mark.parametrize("make", [BatchPlan, eval_batches])
def test_a_token_outside_the_vocabulary_is_refused(make, token, side):
    examples = made(20)
    examples = Examples(examples.sources, examples.targets, 30, kept=10 + np.arange(20))
    make(examples, tokens=64, vocabulary=120)  # the largest is 119
    ids = getattr(examples, f"{side}s")
    ids[6] = np.array([3, 4, token])
    said = f"pair 17 has the {side} token {token:,}, and the vocabulary has 120 tokens, 0 to 119"
    with pytest.raises(DataError, match=said):
        make(examples, tokens=64, vocabulary=120)


def test_a_negative_token_is_never_right():
    examples = made(20)
    examples.targets[19][-1] = -1
    with pytest.raises(DataError, match="pair 20 has the target token -1"):
        BatchPlan(examples, tokens=64)


def test_a_digest_of_examples_knows_every_token_and_where_a_sentence_ends():
    def digest(sources, targets):
        sides = [[np.array(ids, np.int32) for ids in side] for side in (sources, targets)]
        return Examples(*sides, max_length=9, kept=np.arange(2)).digest()

    first = digest([[3, 4], [5]], [[6], [7, 8]])
    # Of each side: how many pairs, their lengths, all tokens.
    written = struct.pack("<3q3i", 2, 2, 1, 3, 4, 5) + struct.pack("<3q3i", 2, 1, 2, 6, 7, 8)
    assert first == hashlib.sha256(written).hexdigest()
    others = [
        digest([[3, 4], [9]], [[6], [7, 8]]),
        digest([[3], [4, 5]], [[6], [7, 8]]),
        digest([[6], [7, 8]], [[3, 4], [5]]),
        digest([[5], [3, 4]], [[7, 8], [6]]),
        digest([[3, 4], [5, 6]], [[], [7, 8]]),
    ]
    assert len({first, *others}) == 6
