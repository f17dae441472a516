"""What heads do, measured on a mesh: the numbers of one device, and no weights on the way."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

from attention_jax.analysis import heads
from attention_jax.analysis.alignment import Aligned, Words
from attention_jax.data.batches import Batch
from attention_jax.models.transformer import Transformer
from attention_jax.parallel.layout import Layout
from attention_jax.parallel.mesh import arrange
from attention_jax.parallel.statistics import call_on, placed_params, placed_positions
from attention_jax.training.step import split
from tests.analysis.hand_built import CONFIG, batch_of_the_task, hand_built

SOURCE, TARGET = 26, 38  # these and their halves are no other size of the model
COLLECTIVE = re.compile(r"= (.*?) (?:all-gather|all-to-all|all-reduce|collective-permute)\S*\(")


@pytest.fixture(scope="module")
def built():
    _, graph, params, _, _ = hand_built()
    return graph, params


@pytest.fixture(scope="module")
def batches():
    """Rows and lengths that no number of devices divides."""
    return [batch_of_the_task(rows=7, length=13, seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def aligned(batches):
    """A word is two tokens, and words of one place translate each other."""

    def words(ids):
        return np.where(ids != 0, np.arange(ids.shape[1])[None] // 2, -1)

    found = []
    for batch in batches:
        rows, length = batch.source.shape
        gold = np.broadcast_to(np.eye(length, dtype=bool), (rows, length, length))
        found.append(Aligned(Words(words(batch.source), words(batch.target_out)), gold))
    return found


def numbers(tree):
    """All numbers of nested dicts and lists; NaN for what is None."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list):
        return [leaf for item in tree for leaf in numbers(item)]
    return [] if isinstance(tree, str) else [np.nan if tree is None else tree]


@pytest.mark.parametrize(
    "layout",
    [
        "data=4,model=2",
        "fsdp=2,model=2,sequence=2",
        pytest.param("sequence=8", marks=pytest.mark.slow),
    ],
)
def test_the_numbers_are_those_of_one_device(built, batches, aligned, layout):
    layout = Layout.parse(layout)
    words = aligned if layout.sequence == 1 else None
    wanted = heads.measure(*built, batches, words)
    found = heads.measure(*built, batches, words, layout=layout)
    if words is not None:
        assert None not in wanted["mean_alignment_error"]
    np.testing.assert_allclose(numbers(found), numbers(wanted), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_heads_that_the_devices_do_not_divide_stay_whole(batches):
    config = replace(
        CONFIG, width=16, head_size=4, encoder_heads=(2,), decoder_heads=(0,), cross_heads=(3,)
    )
    model = split(Transformer(config, rngs=nnx.Rngs(0)))
    found = heads.measure(*model, batches[:1], layout=Layout(data=4, model=2))
    wanted = heads.measure(*model, batches[:1])
    np.testing.assert_allclose(numbers(found), numbers(wanted), rtol=1e-5, atol=1e-5)


def travelling(program):
    """The shapes in a compiled program's collectives that have two axes of positions or more."""
    positions = {SOURCE, TARGET, SOURCE // 2, TARGET // 2}
    found = [
        [int(size) for size in shape.split(",") if size]
        for line in program.compile().as_text().splitlines()
        if (collective := COLLECTIVE.search(line))
        for shape in re.findall(r"\[([\d,]*)\]", collective[1])
    ]
    assert found, "a program on a mesh has collectives"
    return [shape for shape in found if sum(size in positions for size in shape) > 1]


@pytest.mark.parametrize(
    ("layout", "groups"),
    [
        ("fsdp=2,model=2,sequence=2", 4),
        pytest.param("data=2,model=4", 2, marks=pytest.mark.slow),
    ],
)
def test_no_weights_travel(layout, groups):
    mesh = Layout.parse(layout).mesh()
    config = replace(CONFIG, key_value_heads=groups)
    graph, params = split(Transformer(config, rngs=nnx.Rngs(0)))
    source, target = (jnp.ones((8, length), int) for length in (SOURCE, TARGET))
    batch = Batch(source, target, target, jnp.ones(target.shape))
    placed = placed_params(graph, params, mesh), placed_positions(batch, mesh)
    assert travelling(heads._look.lower(graph, *placed, None, mesh)) == []


def test_weights_that_travel_would_be_found():
    mesh = Layout(model=2, sequence=4).mesh()

    def gathered(query, key):
        logits = call_on(mesh)["score"](query, key)
        whole = NamedSharding(mesh, PartitionSpec())
        return jax.lax.with_sharding_constraint(logits, whole)

    query, key = jnp.ones((8, 2 * TARGET, 4, 16)), jnp.ones((8, SOURCE, 4, 16))
    query = arrange(mesh)(query, "B T H K")
    assert travelling(jax.jit(gathered).lower(query[:, :TARGET], key)) != []


def test_what_would_cut_words_is_refused(built, batches, aligned):
    with pytest.raises(ValueError, match="sequence=2 cuts them, and sequence=1 would fit"):
        heads.measure(*built, batches, aligned, layout=Layout(data=4, sequence=2))
