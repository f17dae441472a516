"""The Transformer for long texts against NumPy, against masks alone, and by its gradients."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.decoding import DecodingConfig, Translator
from attention_jax.functional.compressed import compress
from attention_jax.models.summarise import SummariseConfig, summary_to_text
from tests.models.family import parameters, structure
from tests.models.summarise_oracle import logits as oracle

SMALL = SummariseConfig(
    vocabulary=23,
    width=16,
    heads=2,
    feed_forward=24,
    sights=("local", "compressed", "full"),
    block=4,
    slot=3,
    dropout=0.0,
)
TEXT = np.random.default_rng(0).integers(3, 23, (2, 11)).astype(np.int32)
SUMMARY = np.random.default_rng(1).integers(3, 23, (2, 6)).astype(np.int32)
LENGTHS = (11, 8)
TEXT[1, 8:] = 0


def made(config, seed):
    """A model's structure and parameters."""
    return structure(config), parameters(config, seed)


def logits(graph, params, text=TEXT, summary=SUMMARY, **call):
    return jax.jit(lambda params: nnx.merge(graph, params)(text, summary, **call))(params)


def test_numpy_gives_the_same():
    graph, params = made(SMALL, 0)
    found, weights = logits(graph, params, explain=True)
    plain = jax.tree.map(np.asarray, params)
    layers = [np.asarray(weights[place]) for place in SMALL.places()]
    for row, length in enumerate(LENGTHS):
        wanted, seen = oracle(SMALL, plain, TEXT[row, :length], SUMMARY[row])
        np.testing.assert_allclose(found[row], wanted, atol=2e-5)
        end = length + SUMMARY.shape[1]
        for mine, theirs in zip(layers, seen, strict=True):
            np.testing.assert_allclose(mine[row, :, :end, :end], theirs, atol=1e-5)
            ours = np.asarray(summary_to_text(mine, TEXT))[row]
            np.testing.assert_allclose(ours[..., :length], theirs[:, length:, :length], atol=1e-5)
            assert not ours[..., length:].any()


def test_untied_numpy_gives_the_same():
    config = replace(SMALL, sights=("compressed", "local"), slot=2, block=5, tied=False)
    graph, params = made(config, 1)
    found = logits(graph, params, TEXT[:1], SUMMARY[:1])[0]
    plain = jax.tree.map(np.asarray, params)
    np.testing.assert_allclose(found, oracle(config, plain, TEXT[0], SUMMARY[0])[0], atol=2e-5)


@pytest.mark.parametrize("sights", [("compressed",), ("local",), ("full",), SMALL.sights])
def test_a_row_depends_on_what_its_layers_see_and_on_nothing_later(sights):
    """By gradient: of compressed rows the slots that are over, of local ones the block so far."""
    config = replace(SMALL, sights=sights)
    graph, params = made(config, 2)
    begin, count = TEXT.shape[1], TEXT.shape[1] + SUMMARY.shape[1]

    def rows(table):
        """The last layer's heads, row by row, of tokens that all have a vector of their own."""
        found = []

        def look(place, outputs):
            found.append(outputs)
            return outputs

        own = {**params, "embedding": {"table": table}}
        tokens = 1 + np.arange(count, dtype=np.int32)[None]
        nnx.merge(graph, own)(tokens[:, :begin], tokens[:, begin:], heads=look)
        return found[-1][0].sum((-1, -2))

    table = jax.random.normal(jax.random.key(0), (count + 1, SMALL.width))
    slopes = np.asarray(jax.jit(jax.jacrev(rows))(table))[:, 1:]
    depends = (slopes != 0).any(-1)
    place = np.arange(count)
    before = place[:, None] >= place[None]
    assert not depends[~before].any()
    # A row's query is made of itself, so that it counts wherever there is something to weigh.
    own = np.eye(count, dtype=bool)
    slots = ((place // config.slot + 1) * config.slot)[None] <= place[:, None] + 1
    seen = {
        "full": before,
        "local": before & (place[:, None] // config.block == place[None] // config.block),
        "compressed": slots | (own & slots.any(-1)[:, None]),
    }
    if len(sights) == 1:
        # Softmax over one source does not depend on the query.
        alone = {"compressed": config.slot, "local": config.block}.get(sights[0], count)
        many = np.ones(count, bool)
        many[: 2 * alone - 1] = sights[0] != "compressed"
        np.testing.assert_array_equal(depends[many], seen[sights[0]][many])
    else:
        np.testing.assert_array_equal(depends[config.slot :], before[config.slot :])


def test_blocks_and_slots_of_everything_are_full_attention():
    """A block as long as the sequence, or slots of one token that pass it on, change nothing."""
    full = replace(SMALL, sights=("full", "full"))
    graph, params = made(full, 3)
    wanted = logits(graph, params)
    block = replace(full, sights=("local", "local"), block=32)
    found = logits(structure(block), params)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    slots = replace(full, sights=("compressed",) * 2, slot=1)
    same = jnp.broadcast_to(jnp.eye(8), (1, 2, 8, 8))
    layers = {n: {**params["layers"][n], "key_kernel": same, "value_kernel": same} for n in (0, 1)}
    found = logits(structure(slots), {**params, "layers": layers})
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_slots_begin_as_means_of_their_rows():
    kernels = parameters(SMALL, 5)["layers"][1]
    rows = jax.random.normal(jax.random.key(0), (1, 12, 2, 8))
    for name in ("key_kernel", "value_kernel"):
        found = compress(rows, kernel=kernels[name], stride=3)
        np.testing.assert_allclose(found, rows.reshape(1, 4, 3, 2, 8).mean(2), atol=1e-6)


def test_longer_padding_changes_no_number():
    graph, params = made(SMALL, 0)
    plain = logits(graph, params)
    found = logits(graph, params, np.pad(TEXT, ((0, 0), (0, 6))))
    np.testing.assert_allclose(found, plain, atol=1e-6)


def test_greedy_search_writes_what_the_whole_pass_would():
    """Argmax by argmax, with blocks and slots that begin in the text and end in the summary."""
    graph, params = made(SMALL, 4)

    class Numbers:
        def encode_all(self, texts):
            return [[int(word) for word in text.split()] for text in texts]

        def decode(self, ids):
            ids = list(map(int, ids))
            return " ".join(map(str, ids[: ids.index(2)] if 2 in ids else ids))

    lines = [" ".join(map(str, row[row != 0])) for row in TEXT]
    translate = Translator(graph, params, Numbers(), DecodingConfig(max_length=9, rows=2), 12)
    whole = jax.jit(lambda source, target: nnx.merge(graph, params)(source, target))
    for line, said in zip(lines, translate.translate(lines), strict=True):
        source = np.array([[*map(int, line.split()), 2]], np.int32)
        tokens = [1]
        while len(tokens) < 9 and tokens[-1] != 2:
            padded = np.pad(np.array([tokens], np.int32), ((0, 0), (0, 9 - len(tokens))))
            scores = np.array(whole(source, padded))[0, len(tokens) - 1]
            scores[:2] = -np.inf
            tokens.append(int(scores.argmax()))
        assert said == " ".join(map(str, [one for one in tokens[1:] if one != 2]))


@pytest.mark.parametrize("sights", [(), ("local", "wide")])
def test_unknown_sights_are_refused(sights):
    with pytest.raises(ValueError, match="sights is .*at least one layer, each of .*'compressed'"):
        replace(SMALL, sights=sights)
