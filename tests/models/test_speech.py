"""The Transformer that hears: against NumPy, its own cache, and whatever stands in its padding."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.decoding import beam, greedy
from attention_jax.models.places import PARTS, Head, Place
from attention_jax.models.speech import PRESETS, Speech, SpeechConfig, positions_of
from attention_jax.training.step import split
from tests.models.family import bits
from tests.models.speech_oracle import logits as oracle

SMALL = SpeechConfig(
    mels=6, vocabulary=9, width=16, heads=2, feed_forward=24, context=8, dropout=0.25
)
LENGTHS = np.array([11, 6, 1], np.int32)
FRAMES = np.random.default_rng(0).normal(size=(3, 11, 6)).astype(np.float32)
TEXT = np.array([[1, 3, 4, 5], [1, 8, 0, 0], [1, 6, 7, 0]], np.int32)
BEHIND = np.arange(11) >= LENGTHS[:, None]


@pytest.fixture(scope="module")
def made():
    graph, params = split(Speech(SMALL, rngs=nnx.Rngs(0)))

    def whole(params, frames, lengths, text):
        return nnx.merge(graph, params)(frames, lengths, text, explain=True)

    def stepped(params, frames, lengths, text, rows):
        model = nnx.merge(graph, params)
        cache, found = model.start(frames, lengths, text.shape[1]), []
        for place in range(text.shape[1]):
            cache = model.reorder(cache, rows[place])
            logits, cache = model.step(cache, text[:, place])
            found.append(logits)
        return jnp.stack(found, 1)

    return SimpleNamespace(
        graph=graph, params=params, whole=jax.jit(whole), stepped=jax.jit(stepped)
    )


def test_numpy_gives_the_same(made):
    found, weights = made.whole(made.params, FRAMES, LENGTHS, TEXT)
    plain = jax.tree.map(np.asarray, made.params)
    for row, length in enumerate(LENGTHS):
        wanted, seen = oracle(SMALL, plain, FRAMES[row, :length], TEXT[row])
        np.testing.assert_allclose(found[row], wanted, atol=2e-5)
        for layer, theirs in enumerate(seen):
            mine = np.asarray(weights[Place("cross", layer)])[row]
            np.testing.assert_allclose(mine[..., : theirs.shape[-1]], theirs, atol=1e-5)
            assert not mine[..., theirs.shape[-1] :].any()


def test_frames_behind_the_end_may_hold_anything(made, optimized):
    @jax.jit
    def everything(params, frames):
        def loss(params):
            model = nnx.merge(made.graph, params)
            logits, weights = model(frames, LENGTHS, TEXT, rng=jax.random.key(0), explain=True)
            return jnp.sin(logits).sum(), (logits, weights)

        return jax.value_and_grad(loss, has_aux=True)(params)

    plain = everything(made.params, FRAMES)
    assert np.isfinite(plain[0][1][0]).all()
    for filling in (np.nan, np.inf, 1e4):
        changed = np.where(BEHIND[..., None], np.float32(filling), FRAMES)
        found = everything(made.params, changed)
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(bits(a), bits(b)), found, plain)


def test_a_longer_room_changes_nothing_and_an_empty_row_is_finite(made):
    plain = made.whole(made.params, FRAMES, LENGTHS, TEXT)[0]
    longer = np.pad(FRAMES, ((0, 0), (0, 5), (0, 0)))
    np.testing.assert_allclose(made.whole(made.params, longer, LENGTHS, TEXT)[0], plain, atol=1e-6)
    found = made.whole(made.params, FRAMES, np.array([11, 6, 0], np.int32), TEXT)
    np.testing.assert_array_equal(bits(found[0][:2]), bits(plain[:2]))
    assert np.isfinite(found[0]).all() and not found[1][Place("cross", 0)][2].any()


def test_cached_steps_give_the_logits_of_the_whole_pass(made):
    whole = made.whole(made.params, FRAMES, LENGTHS, TEXT)[0]
    rows = np.tile(np.arange(3), (4, 1))
    found = made.stepped(made.params, FRAMES, LENGTHS, TEXT, rows)
    np.testing.assert_allclose(found, whole, atol=2e-5)


def test_a_reordered_cache_goes_on_from_the_chosen_row(made):
    twice, lengths = FRAMES[[0, 0, 2]], LENGTHS[[0, 0, 2]]
    whole = made.whole(made.params, twice, lengths, TEXT)[0]
    rows, tokens = np.tile(np.arange(3), (4, 1)), TEXT.copy()
    rows[2] = [1, 0, 2]
    tokens[:2, 2:] = TEXT[[1, 0], 2:]
    found = made.stepped(made.params, twice, lengths, tokens, rows)
    np.testing.assert_allclose(found[:2, 2:], whole[[1, 0], 2:], atol=2e-5)


def test_one_beam_is_greedy_search(made):
    @jax.jit
    def searched(params):
        model = nnx.merge(made.graph, params)
        cache = model.start(FRAMES, LENGTHS, 6)
        one, _ = beam(model.step, cache, rows=3, length=6, beams=1, penalty=0.6,
                      reorder=model.reorder)  # fmt: skip
        return greedy(model.step, cache, rows=3, length=6), one[:, 0]

    np.testing.assert_array_equal(*searched(made.params))


def test_no_position_sees_later_text(made):
    plain = made.whole(made.params, FRAMES, LENGTHS, TEXT)[0]
    other = TEXT.copy()
    other[:, 2:] = 8
    found = made.whole(made.params, FRAMES, LENGTHS, other)[0]
    np.testing.assert_array_equal(bits(found)[:, :2], bits(plain)[:, :2])
    assert (bits(found)[:, 2] != bits(plain)[:, 2]).any()


def test_dropout_only_with_a_key_and_heads_can_be_changed(made):
    @jax.jit
    def dropped(seed, gate):
        model = nnx.merge(made.graph, made.params)
        key = jax.random.key(seed)
        change = lambda place, outputs: outputs * gate  # noqa: E731
        return model(FRAMES, LENGTHS, TEXT, rng=key), model(FRAMES, LENGTHS, TEXT, heads=change)

    plain = made.whole(made.params, FRAMES, LENGTHS, TEXT)[0]
    (first, same), (second, none) = dropped(0, 1.0), dropped(1, 0.0)
    np.testing.assert_allclose(same, plain, atol=1e-6)
    for one, other in ((first, second), (first, plain), (none, plain)):
        assert not np.allclose(one, other, atol=1e-3)
    np.testing.assert_allclose(none[0, 0], none[1, 0], atol=1e-5)  # nobody hears anything


def test_published_sizes():
    """Whisper's smallest has 37.8 M numbers, those of the encoder's positions among them."""

    def count(config):
        model = nnx.eval_shape(lambda: Speech(config, rngs=nnx.Rngs(0)))
        return sum(leaf.size for leaf in jax.tree.leaves(split(model)[1]))

    tiny = PRESETS["whisper-tiny"]
    # Positions of 1,500 places are not learned; there, 12 attentions have biases on queries, values
    # and outputs; the rest is the same.
    published = 37_760_640 - 1_500 * 384
    assert count(tiny) == published - 12 * 3 * 384
    assert count(PRESETS["digits"]) == 257_216


def test_places_and_heads():
    assert [place.part for place in SMALL.places()] == [part for part in PARTS for _ in range(2)]
    assert len(SMALL.every_head()) == 12 and SMALL.every_head()[-1] == Head("cross", 1, 1)
    assert SMALL.heads_at(Place("cross", 1)) == 2
    assert [positions_of(frames) for frames in (0, 1, 2, 3)] == [0, 1, 1, 2]


@pytest.mark.parametrize("field, value", [("mels", 0), ("context", 0), ("width", 0), ("heads", 3),
                                          ("dropout", 1.0), ("preset", "loud")])  # fmt: skip
def test_impossible_sizes_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value!r}"):
        replace(SMALL, **{field: value})


def test_what_does_not_fit_the_model_is_refused(made):
    model = nnx.merge(made.graph, made.params)
    with pytest.raises(ValueError, match=r"hears 6 bands, so \[B, frames, 6\]"):
        model(FRAMES[..., :5], LENGTHS, TEXT)
    with pytest.raises(ValueError, match="text has 9 tokens, but context is 8"):
        model.start(FRAMES, LENGTHS, 9)
