"""Training on meshes and by pmap is training on one device: losses, gradients, parameters."""

import functools
from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.batches import Batch
from attention_jax.models.transformer import Transformer, TransformerConfig
from attention_jax.parallel.layout import Layout
from attention_jax.parallel.mesh import MeshPrograms, letters_of
from attention_jax.parallel.replicated import ReplicatedPrograms
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.programs import Programs
from attention_jax.training.step import mean_loss

VOCABULARY, ROWS, LENGTH = 44, 13, 11
LAYOUTS = [
    "fsdp=2,model=4",
    "data=2,sequence=4",
    *(
        pytest.param(layout, marks=pytest.mark.slow)
        for layout in (
            "data=8",
            "fsdp=8",
            "model=4",
            "data=2,model=4",
            "data=2,fsdp=4",
            "sequence=8",
            "model=2,sequence=2,exchange=all_to_all",
        )
    ),
]
CONFIG = TransformerConfig(
    vocabulary=VOCABULARY,
    width=32,
    encoder_layers=1,
    decoder_layers=1,
    heads=8,
    key_value_heads=4,
    feed_forward=64,
    dropout=0.0,
)
# With the paper's eps, 1e-9, Adam makes whole steps of what is only rounding.
OPTIMIZER = OptimizerConfig(peak=0.01, warmup=10, eps=1e-3)


def batch(seed: int, rows: int = ROWS) -> Batch:
    chance = np.random.default_rng(seed)
    source = chance.integers(3, VOCABULARY, (rows, LENGTH)).astype(np.int32)
    target = source[:, ::-1].copy()
    lengths = chance.integers(1, LENGTH + 1, rows)
    weights = (np.arange(LENGTH) < lengths[:, None]).astype(np.float32)
    source = np.where(weights > 0, source, 0).astype(np.int32)
    shifted = np.pad(target, ((0, 0), (1, 0)), constant_values=1)[:, :-1]
    return Batch(source, shifted, target, weights)


def programs_of(kind, config=CONFIG, **more):
    settings = {"steps": 0, "smoothing": 0.1, "rng": "threefry2x32"} | more
    return kind(lambda rngs: Transformer(config, rngs=rngs), OPTIMIZER, **settings)


def on(layout: str, **more):
    found = Layout.parse(layout)
    return programs_of(
        functools.partial(MeshPrograms, layout=found, devices=jax.devices()[: found.size]), **more
    )


@pytest.fixture(scope="module")
def one():
    """The programs of one device and a start."""
    programs = programs_of(Programs)
    return programs, jax.device_get(programs.start(0))


@pytest.fixture(scope="module")
def slopes(one):
    """The loss and its gradients on one device."""
    programs, start = one
    loss = mean_loss(programs.graph, smoothing=0.1)
    (found, _), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(
        start.params, batch(0), None
    )
    return float(found), jax.device_get(gradients)


def trained(programs, start, steps):
    state, found = programs.place(start), []
    for i in range(steps):
        state, metrics = programs.step(state, batch(i % 4))
        # Pretended devices that run many steps ahead can use up all threads before they meet.
        found.append(jax.device_get(metrics))
    return jax.device_get(programs.whole(state)), found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_loss_and_gradients_on_a_mesh_are_those_of_one_device(one, slopes, layout):
    programs, start = one
    wanted, theirs = slopes
    sharded = on(layout)
    sharded_loss = functools.partial(mean_loss(programs.graph, smoothing=0.1), **sharded.call)
    (found, _), mine = jax.jit(jax.value_and_grad(sharded_loss, has_aux=True))(
        sharded.place(start).params, sharded.put(batch(0)), None
    )
    assert float(found) == pytest.approx(wanted, rel=1e-6)
    for ours, other in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-5 * max(1, np.abs(other).max()))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_three_engines_end_at_the_same_loss_after_fifty_steps(one):
    start = one[1]
    wanted, others = trained(one[0], start, 50)
    assert others[-1].loss < others[0].loss - 0.5
    replicated = functools.partial(ReplicatedPrograms, devices=jax.devices()[:5])
    for programs in (programs_of(replicated), on("data=2,model=2")):
        state, metrics = trained(programs, start, 50)
        for mine, theirs in zip(metrics, others, strict=True):
            np.testing.assert_allclose(mine.loss, theirs.loss, rtol=1e-4)
            assert mine.tokens == theirs.tokens and mine.sound
        assert state.step == wanted.step == 50


def test_validation_is_that_of_one_device(one):
    programs, start = one
    batches = [batch(i) for i in range(2)]
    wanted = programs.loss(start.params, batches)
    for other in (on("data=2,model=4"), programs_of(ReplicatedPrograms)):
        found = other.loss(other.place(start).params, batches)
        assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.slow
def test_dropout_on_a_mesh_is_that_of_one_device():
    config = replace(CONFIG, dropout=0.2)
    programs = programs_of(Programs, config)
    start = jax.device_get(programs.start(0))
    wanted = trained(programs, start, 1)[1][0]
    found = trained(on("data=2,model=4", config=config), start, 1)[1][0]
    assert found.loss == pytest.approx(wanted.loss, rel=1e-5)
    assert found.gradient_norm == pytest.approx(wanted.gradient_norm, rel=1e-4)


@pytest.mark.parametrize("how", ["fsdp=2,model=4", "pmap"])
def test_a_start_is_the_same_on_every_layout(one, how):
    programs = programs_of(ReplicatedPrograms) if how == "pmap" else on(how)
    found = jax.device_get(programs.whole(programs.start(0)))
    for mine, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(one[1]), strict=True):
        # The last bit hangs on how a loop is cut into vectors.
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-7)


def test_state_is_cut_as_the_table_says():
    programs = on("fsdp=2,model=4")
    state = programs.start(0)
    for tree in (state.params, state.optimizer[1].mu, state.optimizer[1].nu):
        layer = tree["encoder"][0]
        for leaf, shape in (
            (tree["source_embedding"]["table"], (VOCABULARY // 4, 16)),
            (layer["attention"]["query"]["kernel"], (16, 8)),
            (layer["attention"]["key"]["kernel"], (16, 4)),
            (layer["attention"]["output"]["kernel"], (8, 16)),
            (layer["feed_forward"]["contract"]["kernel"], (16, 16)),
            (layer["feed_forward"]["expand"]["bias"], (16,)),
            (layer["residuals"][0]["norm"]["scale"], (32,)),
        ):
            assert leaf.addressable_shards[0].data.shape == shape
    assert not programs.notes


def test_what_does_not_divide_stays_whole_and_is_said():
    programs = on("model=4", config=replace(CONFIG, vocabulary=45))
    table = programs.start(0).params["source_embedding"]["table"]
    assert table.addressable_shards[0].data.shape == (45, 32)
    assert programs.notes == [
        "source_embedding.table: V = 45 stays whole, as model=4 does not divide it"
    ]


def test_parameters_without_letters_are_refused():
    class Bare(nnx.Module):
        def __init__(self):
            self.kernel = nnx.Param(np.zeros((2, 3), np.float32))

    with pytest.raises(ValueError, match=r"kernel has shape \[2, 3\] and the letters ''"):
        letters_of(Bare())


def test_dropout_drawn_over_and_over_is_said():
    assert any("threefry2x32" in note for note in on("data=2", rng="rbg").notes)
    assert not on("data=2").notes
