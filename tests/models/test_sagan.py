"""The Self-Attention GAN against NumPy, its config, and how it begins."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.models.places import Place
from attention_jax.models.sagan import Sagan, SaganConfig
from attention_jax.models.sagan_layers import doubled, halved
from attention_jax.parallel.mesh import letters_of
from attention_jax.training.step import split
from tests.models.sagan_oracle import judged, made

SMALL = SaganConfig(side=8, channels=2, classes=3, latent=4, features=2, heads=2, head_size=2)
MAKES, JUDGES = Place("decoder", 0), Place("encoder", 0)
CHANCE = np.random.default_rng(0)
LATENTS = CHANCE.normal(size=(3, 4)).astype(np.float32)
PICTURES = CHANCE.uniform(-1, 1, (3, 8, 8, 2)).astype(np.float32)
LABELS = np.int32([0, 2, 1])


@pytest.fixture(scope="module")
def model():
    """A model whose every parameter matters: no zeros.

    Its kernels have one singular value far above the others, so that their norms are exact.
    """
    graph, shapes = split(nnx.eval_shape(lambda: Sagan(SMALL, rngs=nnx.Rngs(0))))
    draw = np.random.default_rng(1)

    def drawn(shape):
        rows, columns = int(np.prod(shape.shape[:-1])), shape.shape[-1:] or (1,)
        found = draw.normal(0, 0.3, shape.shape)
        strong = np.outer(draw.normal(size=rows), draw.normal(size=columns[0]))
        return jnp.float32(found + (strong.reshape(shape.shape) if len(shape.shape) > 1 else 0.5))

    return nnx.merge(graph, jax.tree.map(drawn, shapes))


@pytest.fixture(scope="module")
def passes(model):
    """Both players' answers, plain and explained, and with their second heads silenced."""

    def gated(place, outputs):
        return outputs * jnp.float32([1, 0]).reshape(1, 1, 2, 1)

    @jax.jit
    def run(latents, pictures, labels):
        def both(**call):
            return model(latents, labels, **call), model.judge(pictures, labels, **call)

        return both(), both(explain=True), both(heads=gated)

    return run(LATENTS, PICTURES, LABELS)


def test_passes_are_those_written_in_numpy(model, passes):
    (pictures, makes), (real, judges) = passes[1]
    params = split(model)[1]
    for row in range(3):
        wanted, weights = made(SMALL, params, LATENTS[row], LABELS[row])
        np.testing.assert_allclose(pictures[row], wanted, atol=2e-5)
        np.testing.assert_allclose(makes[MAKES][row], weights, atol=2e-5)
        wanted, weights = judged(SMALL, params, PICTURES[row], LABELS[row])
        np.testing.assert_allclose(real[row], wanted, atol=2e-4)
        np.testing.assert_allclose(judges[JUDGES][row], weights, atol=2e-5)
    assert makes[MAKES].shape == judges[JUDGES].shape == (3, 2, 16, 16)


def test_to_look_changes_nothing_and_heads_can_be_silenced(passes):
    for plain, looked, silenced in zip(*passes, strict=True):
        np.testing.assert_allclose(plain, looked[0], atol=1e-5)
        assert np.abs(plain - silenced).max() > 1e-4


@pytest.mark.slow
def test_a_fresh_model_does_not_attend_yet_and_makes_pictures():
    @jax.jit
    def fresh(latents, labels):
        model = Sagan(SMALL, rngs=nnx.Rngs(0))
        silent = model(latents, labels, heads=lambda place, outputs: 0 * outputs)
        return model(latents, labels), silent

    pictures, silent = fresh(LATENTS, LABELS)
    np.testing.assert_array_equal(pictures, silent)
    assert pictures.shape == (3, 8, 8, 2) and (np.abs(pictures) <= 1).all()
    assert np.abs(pictures[0] - pictures[1]).max() > 1e-3


def test_sides_are_doubled_and_halved():
    np.testing.assert_array_equal(halved(doubled(jnp.asarray(PICTURES))), PICTURES)
    np.testing.assert_allclose(
        halved(jnp.asarray(PICTURES))[1, 1, 2], PICTURES[1, 2:4, 4:6].mean((0, 1)), atol=1e-6
    )
    np.testing.assert_array_equal(doubled(jnp.asarray(PICTURES))[0, 5, 6], PICTURES[0, 2, 3])


def test_every_parameter_has_letters():
    letters = letters_of(nnx.eval_shape(lambda: Sagan(SMALL, rngs=nnx.Rngs(0))))
    assert letters["generator"]["attention"]["gamma"] == ""
    assert letters["discriminator"]["first"]["first"]["kernel"] == "W W D P"


def test_places_and_heads():
    assert SMALL.places() == [JUDGES, MAKES] and SMALL.heads_at(MAKES) == 2
    assert len(SMALL.every_head()) == 4 and SMALL.map_side == 4


@pytest.mark.parametrize("change, said", [
    ({"side": 10}, "side is 10"), ({"heads": 0}, "heads is 0"), ({"latent": 0}, "latent is 0"),
    ({"generator_rate": 0.0}, "generator_rate is 0.0"),
])  # fmt: skip
def test_a_config_that_cannot_be_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **change)


def test_inputs_that_do_not_fit_are_refused(model):
    with pytest.raises(ValueError, match=r"latents have shape \[3, 3\]"):
        jax.eval_shape(model, LATENTS[:, 1:], LABELS)
    with pytest.raises(ValueError, match=r"pictures have shape \[3, 8, 8, 1\]"):
        jax.eval_shape(model.judge, PICTURES[..., :1], LABELS)
