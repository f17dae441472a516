"""Readings out of a run, held against the model that the run holds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.tokens import END, START
from attention_jax.interop import huggingface
from attention_jax.models.places import Place
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.trained import load, translator
from attention_jax.training import checkpoint
from attention_jax.views.gather import look, read_encoder, read_run
from tests.interop import made_folders

SENTENCE = "the red cat sees a house"


def by_name(reading):
    return {attention.name: attention for attention in reading.attentions}


def test_a_reading_holds_what_the_model_does(folder):
    [reading] = read_run(folder, SENTENCE)
    _, tokenizer, graph, params = load(folder)
    assert reading.output == translator(folder).translate([SENTENCE])[0]
    assert (reading.model, reading.moment, reading.input) == ("tiny", "step 8", SENTENCE)

    found = by_name(reading)
    source = [*tokenizer.encode(SENTENCE), END]
    assert found["encoder"].queries == found["encoder"].sources == tuple(tokenizer.tokens(source))
    assert found["cross"].sources == found["encoder"].sources
    assert found["decoder"].queries == ("<start>", *found["decoder"].chosen[:-1])
    assert found["decoder"].chosen[-1] == "<end>"

    written = [step[place].token for step, place in zip(reading.steps, reading.path, strict=True)]
    assert tuple(written) == found["decoder"].chosen
    ids = dict(zip(tokenizer.tokens(range(tokenizer.size)), range(tokenizer.size), strict=False))
    target_in = jnp.array([[START, *(ids[token] for token in written[:-1])]])
    _, weights = nnx.merge(graph, params)(jnp.array([source]), target_in, explain=True)
    for part, layers in weights._asdict().items():
        np.testing.assert_allclose(found[part].weights, layers[:, 0], atol=1e-6)


def test_queries_and_keys_give_the_weights(folder):
    for attention in read_run(folder, SENTENCE)[0].attentions:
        for weights, query, key in zip(
            attention.weights, attention.query_vectors, attention.key_vectors, strict=True
        ):
            logits = np.einsum("htk,hsk->hts", query, key) / query.shape[-1] ** 0.5
            if attention.name == "decoder":
                logits = np.where(np.tri(len(attention.queries), dtype=bool), logits, -np.inf)
            np.testing.assert_allclose(jax.nn.softmax(logits), weights, atol=1e-6)


def test_hypotheses_are_those_of_the_beam(folder):
    readings = read_run(folder, SENTENCE, beams=3, hypotheses=2)
    assert len(readings) == 2 and len({one.output for one in readings}) == 2
    assert readings[0].output == translator(folder, beams=3).translate([SENTENCE])[0]
    assert [one.hypothesis[:2] for one in readings] == ["1.", "2."]
    assert readings[0].steps == readings[1].steps and readings[0].path != readings[1].path


def test_checkpoints_read_the_same_translation(folder):
    steps = checkpoint.finished(folder / "checkpoints")
    assert len(steps) > 1
    readings = read_run(folder, SENTENCE, steps=steps)
    assert [one.moment for one in readings] == [f"step {step}" for step in steps]
    assert len({one.output for one in readings}) == 1
    first, last = (by_name(readings[at])["cross"].weights[0] for at in (0, -1))
    assert np.abs(first - last).max() > 1e-4


def test_a_target_is_read_as_it_is_given(folder):
    [reading] = read_run(folder, SENTENCE, target="el gato", name="mine")
    assert (reading.output, reading.model, reading.steps) == ("el gato", "mine", ())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sentence": "  "}, "the sentence is empty"),
        ({"sentence": "the cat " * 20}, "at most 16 fit"),
        ({"target": "el gato " * 20}, "the target has"),
        ({"steps": [7]}, "no checkpoint of step 7; it has 6, 8, 12"),
        ({"steps": [6], "hypotheses": 2, "beams": 2}, "2 hypotheses and 1 checkpoints"),
        ({"hypotheses": 2, "beams": 1}, "at most 1 would fit"),
    ],
)
def test_what_does_not_fit_is_refused(folder, options, message):
    with pytest.raises(ValueError, match=message):
        read_run(folder, options.pop("sentence", SENTENCE), **options)


def test_places_without_heads_are_looked_at_too():
    config = TransformerConfig(
        vocabulary=12, width=8, heads=2, encoder_layers=1, decoder_layers=1, feed_forward=8,
        head_size=4, decoder_heads=(0,),
    )  # fmt: skip
    model = Transformer(config, rngs=nnx.Rngs(0))
    inputs = jnp.array([[4, 5, 2]]), jnp.array([[1, 4]])
    seen = jax.jit(lambda: look(functools.partial(model, *inputs)))()
    assert seen[Place("decoder", 0)].weights.shape == (1, 0, 2, 2)
    assert seen[Place("decoder", 0)].query.shape[:3] == (1, 2, 0)
    assert seen[Place("cross", 0)].query.shape == (1, 2, 2, 4)
    assert seen[Place("cross", 0)].key.shape == (1, 3, 2, 4)


def test_a_pretrained_encoder_is_read_as_it_explains_itself(tmp_path):
    made_folders.write(tmp_path, "bert")
    pretrained = huggingface.load(tmp_path)
    reading = read_encoder(pretrained, "the cat", "a dog")
    names, weights = pretrained.explain("the cat", "a dog")
    [attention] = reading.attentions
    assert attention.name == "encoder" and attention.queries == attention.sources == tuple(names)
    assert (reading.model, reading.input) == (pretrained.name, "the cat | a dog")
    np.testing.assert_allclose(attention.weights, weights, atol=1e-6)


@pytest.mark.parametrize(
    ("positions", "product"),
    [("sinusoidal", True), ("rotary", True), ("t5", False), ("relative", False)],
)
def test_queries_and_keys_are_shown_where_their_product_is_all_that_decides(positions, product):
    sizes = {"width": 8, "heads": 2, "feed_forward": 8, "encoder_layers": 1, "decoder_layers": 1}
    config = TransformerConfig(vocabulary=9, positions=positions, **sizes)
    model = nnx.jit(lambda: Transformer(config, rngs=nnx.Rngs(0)))()
    seen = look(functools.partial(model, jnp.array([[4, 5, 2]]), jnp.array([[1, 6]])))
    assert (seen[Place("encoder", 0)].query is not None) == product
    assert seen[Place("cross", 0)].query is not None
    assert all(one.weights.ndim == 4 for one in seen.values())
