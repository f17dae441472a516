"""The sizes of decoder-only Transformers: published ones, and those that no model can have."""

from dataclasses import replace

import jax
import pytest
from flax import nnx

from attention_jax.models.decoder_only import PRESETS, DecoderOnly, DecoderOnlyConfig
from attention_jax.training.step import split

SMALL = DecoderOnlyConfig(width=16, heads=4)


# nanoGPT reports 0.80 M and leaves the positions out; the others count everything.
@pytest.mark.parametrize(
    ("preset", "published"),
    [
        ("gpt2", 124_439_808),
        pytest.param("7b", 6_738_415_616, marks=pytest.mark.slow),
        ("gpt-shakespeare", 0),
    ],
)
def test_presets_have_the_published_parameters(preset, published):
    config = PRESETS[preset]
    assert config.preset == preset
    shapes = nnx.eval_shape(lambda: DecoderOnly(config, rngs=nnx.Rngs(0)))
    found = sum(leaf.size for leaf in jax.tree.leaves(split(shapes)[1]))
    if preset == "gpt-shakespeare":
        assert round((found - config.context * config.width) / 1e6, 2) == 0.80
    else:
        assert found == published


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"heads": 5}, ["heads is 5", "width, 16", "1, 2, 4, 8, 16"]),
        ({"key_value_heads": 3}, ["key_value_heads is 3", "heads, 4"]),
        ({"layers": 0}, ["layers is 0"]),
        ({"window": 0}, ["window is 0", "None"]),
        ({"head_size": 0}, ["head_size is 0"]),
        ({"width": 15, "heads": 3, "positions": "sinusoidal"}, ["width is 15", "even"]),
        ({"head_size": 5, "positions": "rotary"}, ["5 features", "even"]),
        ({"dropout": 1.0}, ["dropout is 1.0"]),
        ({"positions": "rope"}, ["positions is 'rope'", "rotary"]),
        ({"norm": "post"}, ["norm is 'post'", "rms"]),
        ({"activation": "relu"}, ["activation is 'relu'", "swiglu"]),
        ({"preset": "gpt5"}, ["preset is 'gpt5'", "gpt2"]),
    ],
)
def test_impossible_sizes_are_refused(change, words):
    with pytest.raises(ValueError) as error:
        replace(SMALL, **change)
    assert all(word in str(error.value) for word in words)
