"""The decoder-only Transformer against NumPy, its own cache, a mesh, and in training."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from attention_jax.analysis.heads import measure
from attention_jax.analysis.weights import attention_sums
from attention_jax.data import Batch
from attention_jax.decoding import beam, greedy
from attention_jax.functional import attend
from attention_jax.functional.masks import Causal, Window
from attention_jax.models.decoder_only import DecoderOnly, DecoderOnlyConfig
from attention_jax.models.places import Place
from attention_jax.parallel.layout import Layout
from attention_jax.parallel.mesh import MeshPrograms
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.step import initial_state, make_train_step, mean_loss, split
from tests.models.decoder_only_oracle import logits as oracle

SMALL = DecoderOnlyConfig(vocabulary=23, width=16, layers=2, heads=4, feed_forward=24, context=12)
MODERN = replace(
    SMALL,
    layers=1,
    positions="rotary",
    norm="rms",
    activation="swiglu",
    key_value_heads=2,
    tied=False,
    window=4,
    remat="everything",
)
VARIANTS = {
    "small": SMALL,
    "gpt2": replace(SMALL, bias=True, head_size=6, layers=1, activation="gelu_exact"),
    "modern": replace(MODERN, layers=2, base=50.0, epsilon=1e-2, qkv_bias=True),
    "sinusoidal": replace(SMALL, positions="sinusoidal", window=1, layers=1),
}
SOURCE = np.array([[5, 6, 7, 8, 2], [9, 4, 2, 0, 0], [3, 0, 0, 0, 0]], np.int32)
TARGET = np.array([[1, 11, 12, 13], [1, 14, 15, 3], [1, 4, 5, 6]], np.int32)
NOTHING = SOURCE[:, :0]
PADS = (0, 0), (0, 4)


def build(config, seed=0):
    """A model whose every parameter matters: no zeros, kernels far from their small beginnings."""
    graph, shapes = split(nnx.eval_shape(lambda: DecoderOnly(config, rngs=nnx.Rngs(0))))
    draw = np.random.default_rng(seed).normal
    return nnx.merge(graph, jax.tree.map(lambda x: jnp.float32(draw(0, 0.3, x.shape)), shapes))


@pytest.fixture(scope="module")
def modern():
    return build(MODERN)


def run(model, *tokens, **call):
    """The model's call, compiled."""
    graph, params = split(model)
    return jax.jit(lambda params, *tokens: nnx.merge(graph, params)(*tokens, **call))(
        params, *tokens
    )


@pytest.mark.parametrize(
    ("name", "source"),
    [*((name, SOURCE) for name in VARIANTS), ("small", NOTHING), ("modern", NOTHING)],
)
def test_agrees_with_numpy_and_with_its_own_cache(name, source):
    model = build(VARIANTS[name])
    logits, weights = run(model, source, TARGET, explain=True)
    width, rows = source.shape[1], len(TARGET)
    for row, target in enumerate(TARGET):
        real = source[row][source[row] != 0]
        tokens = np.concatenate([real, target])
        wanted, shares = oracle(model.config, split(model)[1], tokens)
        np.testing.assert_allclose(logits[row], wanted[len(real) :], atol=5e-5)
        first = width - len(real)
        np.testing.assert_allclose(weights[:, row, :, first:, first:], shares, atol=1e-5)
        assert not weights[:, row, :, first:, :first].any()  # padding is not seen

    def steps(cache, tokens):
        return model.step(cache, tokens)[::-1]

    start = jax.jit(lambda source: model.start(source, 6))(source)
    assert all(leaf.shape[0] == rows for leaf in jax.tree.leaves(start) if leaf.ndim)
    cache, found = jax.jit(lambda cache: jax.lax.scan(steps, cache, TARGET.T))(start)
    np.testing.assert_allclose(jnp.swapaxes(found, 0, 1), logits, atol=2e-5)
    assert int(cache.position) == width + TARGET.shape[1]


def test_looking_leaves_the_logits_alone(modern):
    logits, _ = run(modern, SOURCE, TARGET, explain=True)
    np.testing.assert_allclose(logits, run(modern, SOURCE, TARGET), atol=1e-5)


def test_searches_write_what_the_whole_pass_finds_likeliest(modern):
    search = {"rows": 2, "length": 4}

    @jax.jit
    def written(source):
        cache = modern.start(source, 4)
        best = greedy(modern.step, cache, **search)
        several = {"beams": 3, "penalty": 0.0, "reorder": modern.reorder}
        return best, beam(modern.step, cache, **search, **several)

    best, (found, scores) = written(SOURCE[:2])
    texts = np.concatenate([best[:, None], found], 1).reshape(8, 4)
    shifted = np.concatenate([np.ones((8, 1), np.int32), texts[:, :-1]], 1)
    logits = run(modern, SOURCE[:2].repeat(4, 0), shifted)
    likely = np.asarray(logits.at[..., :2].set(-jnp.inf).argmax(-1)).reshape(2, 4, 4)[:, 0, :-1]
    said = best[:, :-1]  # the last place holds nothing but END
    np.testing.assert_array_equal(np.where(said != 0, likely, 0), said)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), texts[..., None], -1)[..., 0]
    totals = np.where(texts != 0, chosen, 0).sum(-1).reshape(2, 4)[:, 1:]
    np.testing.assert_allclose(scores, totals, atol=1e-4)


def test_no_token_sees_a_later_one_or_one_before_its_window(modern):
    look = jax.jit(modern)

    def logits(place, token):
        changed = np.array([[1, 5, 6, 7, 8, 9, 10, 11]], np.int32)
        changed[:, place] = token
        return np.asarray(look(changed[:, :0], changed))[0]

    plain, later = logits(7, 11), logits(5, 12)
    np.testing.assert_array_equal(later[:5], plain[:5])
    assert (later[5:] != plain[5:]).all(-1).all()
    earlier = logits(0, 12)
    assert (earlier[:4] != plain[:4]).any(-1).all()
    np.testing.assert_array_equal(earlier[4:], plain[4:])


@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize(
    ("name", "dtype"),
    [("modern", "bfloat16"), pytest.param("gpt2", "float32", marks=pytest.mark.slow)],
)
def test_padding_changes_no_bit_of_logits_or_gradients(name, dtype):
    config = replace(VARIANTS[name], tied=False, layers=1)
    graph, params = split(build(config))
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    weights = jnp.asarray([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], jnp.float32)
    target = jnp.where(weights > 0, TARGET, 0)

    @jax.jit
    def slopes(params, target):
        def loss(params):
            logits = nnx.merge(graph, params)(SOURCE, target, rng=jax.random.key(1))
            assert logits.dtype == dtype
            return jnp.where(weights > 0, jax.nn.log_softmax(logits)[..., 3], 0).sum(), logits

        return jax.value_and_grad(loss, has_aux=True)(params)

    (_, plain), gradient = slopes(params, target)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves((plain, gradient)))
    assert not gradient["embedding"]["table"][0].any()
    table = params["embedding"]["table"].at[0].set(jnp.nan)
    broken = {**params, "embedding": {"table": table}}
    for changed in (slopes(broken, target), slopes(params, jnp.where(weights > 0, target, 17))):
        (_, logits), found = changed
        np.testing.assert_array_equal(logits[weights > 0], plain[weights > 0])
        jax.tree.map(np.testing.assert_array_equal, found, gradient)


def test_how_much_padding_stands_between_source_and_target_changes_nothing(modern):
    wider = np.pad(SOURCE, ((0, 0), (0, 2)))
    np.testing.assert_allclose(run(modern, wider, TARGET), run(modern, SOURCE, TARGET), atol=2e-5)


def test_attention_is_given_masks_that_positions_tell():
    masks = []

    def look(query, key, value, *, score, mask):
        masks.append(mask)
        return attend(query, key, value, score=score, mask=mask)

    for config, source in ((SMALL, NOTHING), (MODERN, NOTHING), (SMALL, SOURCE)):
        jax.eval_shape(partial(build(config), attend=look), source, TARGET)
    assert masks[:3] == [Causal(), Causal(), Window(3, 0)]
    assert "Dense" not in repr(masks[3]) and "Segments" in repr(masks[3])


def test_every_activation_is_arranged_and_every_parameter_lettered(modern):
    seen = set()

    def arrange(x, letters):
        assert x.ndim == len(letters.split())
        seen.add(letters)
        return x

    jax.eval_shape(partial(modern, arrange=arrange), SOURCE, TARGET)
    assert seen == {"B T D", "B T H K", "B S G K", "B T V"}
    for model in map(build, VARIANTS.values()):
        for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Param)):
            assert len(variable.get_metadata()["letters"].split()) == variable[...].ndim, path


def test_heads_can_be_looked_at_and_changed(modern):
    shapes = {}

    def silence(place, outputs):
        shapes[place] = outputs.shape
        return outputs.at[:, :, 2].set(0)

    silenced = run(modern, SOURCE, TARGET, heads=silence)
    assert shapes == {Place("decoder", 0): (3, 9, 4, 4)}
    graph, params = split(modern)
    output = params["layers"][0]["attention"]["output"]
    output["kernel"] = output["kernel"].at[8:12].set(0)
    without = run(nnx.merge(graph, params), SOURCE, TARGET)
    np.testing.assert_allclose(without, silenced, atol=1e-5)
    assert not np.allclose(silenced, run(modern, SOURCE, TARGET), atol=1e-3)


def test_head_statistics_are_those_of_the_weights(modern):
    graph, params = split(modern)
    real = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], np.float32)
    found = measure(graph, params, [Batch(NOTHING, TARGET, TARGET, real)])["heads"]
    assert [(one["part"], one["layer"], one["head"]) for one in found] == MODERN.every_head()
    _, weights = run(modern, NOTHING, TARGET, explain=lambda _, weights: weights)
    for layer in range(MODERN.layers):
        sums = attention_sums(weights[Place("decoder", layer)], real > 0, real > 0)
        wanted = np.asarray(sums.totals["entropy"]) / sums.queries["entropy"]
        got = [one["entropy"] for one in found if one["layer"] == layer]
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_dropout_only_with_rng_and_repeatable():
    graph, params = split(build(replace(SMALL, dropout=0.3, layers=1)))
    look = jax.jit(lambda rng: nnx.merge(graph, params)(NOTHING, TARGET, rng=rng))
    first, same, other = (look(jax.random.key(seed, impl="rbg")) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    for found in (other, look(None)):
        assert not np.allclose(first, found, atol=1e-2)


def test_learns_to_repeat():
    """Texts of a word and its repetition: the second half can be known, the first cannot."""
    config = replace(MODERN, window=None, dropout=0.1)

    def make(rngs):
        return DecoderOnly(config, rngs=rngs)

    graph, _ = split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    optimizer = optax.adam(1e-2)
    state = jax.jit(lambda: initial_state(make, optimizer, 0))()
    step = make_train_step(graph, optimizer)
    chance, losses = np.random.default_rng(0), []
    for _ in range(120):
        word = chance.integers(3, 11, size=(16, 3), dtype=np.int32)
        text = np.concatenate([np.ones((16, 1), np.int32), word, word], 1)
        weights = np.zeros((16, 6), np.float32)
        weights[:, 3:] = 1
        state, metrics = step(state, Batch(text[:, :0], text[:, :-1], text[:, 1:], weights))
        losses.append(float(metrics.loss))
    assert bool(state.sound)
    assert losses[0] > 2.0 and np.mean(losses[-10:]) < 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "source"),
    [
        ("data=2,fsdp=2,model=2", SOURCE[:2]),
        ("data=2,model=2,sequence=2", SOURCE[:2]),
        ("data=2,model=2,sequence=2", NOTHING[:2]),
    ],
)
def test_a_mesh_gives_the_loss_and_gradients_of_one_device(layout, source):
    programs = MeshPrograms(
        lambda rngs: DecoderOnly(MODERN, rngs=rngs),
        OptimizerConfig(),
        layout=Layout.parse(layout),
        steps=2,
        smoothing=0.1,
        rng="rbg",
    )
    batch = Batch(source, TARGET[:2], TARGET[:2], np.ones((2, 4), np.float32))
    params, loss = split(build(MODERN))[1], mean_loss(programs.graph, smoothing=0.1)
    one = jax.jit(jax.value_and_grad(lambda p, batch: loss(p, batch, None)[0]))
    many = jax.jit(jax.value_and_grad(lambda p, batch: loss(p, batch, None, **programs.call)[0]))
    placed = jax.device_put(params, programs.shardings.params), programs.put(batch)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), many(*placed), one(params, batch)
    )


def test_more_tokens_than_learned_positions_are_refused():
    model = build(SMALL)
    for ask in (lambda: model.start(SOURCE, 8), lambda: model(np.pad(SOURCE, PADS), TARGET)):
        with pytest.raises(ValueError, match="13 tokens.*context, 12"):
            ask()
    assert jax.eval_shape(lambda: build(MODERN).start(SOURCE, 30)).keys[0].shape[1] == 35
