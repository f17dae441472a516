"""Word vectors are learned from lines, and kept in a file that is not taken on trust."""

import itertools

import numpy as np
import pytest

from attention_jax.interop.tensors import read_metadata, write_tensors
from attention_jax.models.word_vectors import WordVectorsConfig, nearest
from attention_jax.training.word_vectors import (
    KIND,
    WordVectors,
    read_word_vectors,
    save_word_vectors,
    train_word_vectors,
)

KINDS = (("the", "a"), ("red", "blue", "green"), ("cat", "dog", "cow"), ("eats", "sees", "has"))
TOKENS = ("<pad>", *itertools.chain(*KINDS), "rare")
LINES = [[TOKENS.index(word) for word in line] for line in itertools.product(*KINDS)] * 40
TINY = WordVectorsConfig(
    width=8, window=2, noise=32, threshold=None, epochs=3, batch=256, rate=0.05
)


@pytest.fixture(scope="module")
def learned():
    losses = []
    found = train_word_vectors(
        [*LINES, [TOKENS.index("rare"), 1]], TOKENS, TINY, report=lambda *one: losses.append(one)
    )
    return found, losses


def test_words_of_a_kind_come_to_lie_together(learned):
    found, losses = learned
    for kind in KINDS:
        for word in kind:
            near = [token for token, _ in nearest(found.vectors, found.tokens, word, len(kind) - 1)]
            assert set(near) == set(kind) - {word}, word
    assert [epoch for epoch, _ in losses] == [1, 2, 3]
    assert losses[-1][1] < losses[0][1]


def test_who_is_rare_gets_no_vector_and_padding_is_no_word(learned):
    found, _ = learned
    assert found.tokens == TOKENS[1:-1]
    assert found.vectors.shape == (11, 8) and found.vectors.dtype == np.float32


def test_the_seed_decides(learned):
    again = train_word_vectors([*LINES, [12, 1]], TOKENS, TINY)
    np.testing.assert_array_equal(again.vectors, learned[0].vectors)
    other = train_word_vectors([*LINES, [12, 1]], TOKENS, TINY, seed=1)
    assert other.tokens == again.tokens
    assert not np.array_equal(other.vectors, learned[0].vectors)


def test_no_window_reaches_over_the_end_of_a_line():
    losses = []
    train_word_vectors(
        [[token] for token in range(1, 12)] * 20, TOKENS, TINY, report=lambda _, x: losses.append(x)
    )
    assert losses == [0.0] * 3


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([[1, 2, 13]], "token 13 has no name; 0 to 12 would fit"),
        ([[1, -2]], "token -2 has no name"),
        ([[1, 2]] * 4, "fewer than 2 tokens occur 5 times in 8 tokens of text"),
        ([], "fewer than 2 tokens occur 5 times in 0 tokens"),
    ],
)
def test_text_that_teaches_nothing(lines, said):
    with pytest.raises(ValueError, match=said):
        train_word_vectors(lines, TOKENS, TINY)


FOUND = WordVectors(("Ġred", "·é\n", '"'), np.arange(6, dtype=np.float32).reshape(3, 2))


def test_a_file_gives_back_what_was_saved(tmp_path):
    path = tmp_path / "vectors.safetensors"
    save_word_vectors(path, FOUND, TINY)
    found = read_word_vectors(path)
    assert found.tokens == FOUND.tokens
    np.testing.assert_array_equal(found.vectors, FOUND.vectors)
    assert '"window": 2' in read_metadata(path)["config"]


def test_a_flipped_bit_is_seen(tmp_path):
    path = tmp_path / "vectors.safetensors"
    save_word_vectors(path, FOUND)
    raw = bytearray(path.read_bytes())
    raw[-2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"vectors.safetensors is damaged"):
        read_word_vectors(path)


ONE = np.ones((1, 2), np.float32)
META = {"kind": KIND, "tokens": '["a"]'}


@pytest.mark.parametrize(
    ("arrays", "metadata", "said"),
    [
        ({"vectors": ONE}, {}, "holds no word vectors: its kind is None"),
        ({"other": ONE}, META, "its arrays are other; .* and vectors would fit"),
        ({"vectors": ONE}, {"kind": KIND}, "has no list of tokens"),
        ({"vectors": ONE}, META | {"tokens": "{}"}, "has no list of tokens"),
        ({"vectors": ONE}, META | {"tokens": "[1]"}, "a list of text would fit"),
        ({"vectors": ONE}, META | {"tokens": "[" * 9_999}, "has no list of tokens"),
        ({"vectors": ONE[0]}, META, r"an array of \[2\] and 1 tokens"),
        ({"vectors": ONE}, META | {"tokens": "[]"}, r"an array of \[1, 2\] and 0 tokens"),
        ({"vectors": ONE[:, :0]}, META, r"an array of \[1, 0\]"),
        ({"vectors": ONE * np.inf}, META, "some number is not finite"),
        ({"vectors": ONE.astype(int)}, META, "finite float32 would fit"),
        ({"vectors": ONE[[0, 0]]}, META | {"tokens": '["a", "a"]'}, "'a' stands there twice"),
    ],
)
def test_a_file_that_holds_something_else(arrays, metadata, said, tmp_path):
    path = tmp_path / "v.safetensors"
    write_tensors(path, arrays, metadata)
    with pytest.raises(ValueError, match=said) as caught:
        read_word_vectors(path)
    assert str(path) in str(caught.value)


def test_what_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="'a' stands there twice"):
        save_word_vectors(tmp_path / "v", WordVectors(("a", "a"), np.ones((2, 3), np.float32)))
    assert not list(tmp_path.iterdir())
