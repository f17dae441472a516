"""Contenders do the same work: modules, training steps, decoding, and those of the headline."""

import os

import pytest

from experiments.benchmarks import __main__ as headline
from experiments.benchmarks import (
    attention_module,
    decoding,
    language_step,
    recurrent_step,
    shapes,
    training_step,
)
from experiments.benchmarks.bench import command
from experiments.benchmarks.bench.figures import agree
from experiments.benchmarks.bench.process import Process, here

TINY = {"vocabulary": 40, "width": 8, "heads": 2, "feed_forward": 8, "rows": 2, "length": 4}
MODULE = {"batch": 2, "length": 12, "width": 16, "heads": 2, "both": True}
STEP = {**shapes.TRAINING_STEP["tiny"], **TINY, "encoder_layers": 1, "decoder_layers": 1}
RECURRENT = {"vocabulary": 40, "width": 8, "layers": 1, "rows": 2, "length": 4, "dropout": 0.0}
LANGUAGE = {**shapes.LANGUAGE_STEP, "width": 8, "heads": 2, "layers": 1, "feed_forward": 8}
LANGUAGE |= {"rows": 2, "context": 6, "dropout": 0.0}
DECODE = {"rows": 2, "beams": 1}


def looked(module, contender, case):
    prepared = module.prepare(contender, case)
    return prepared.look(prepared.call())


def test_modules_agree_in_outputs_and_gradients():
    wanted = looked(attention_module, "flax", MODULE)
    assert len(wanted) == 12 and all(wanted)
    assert agree(looked(attention_module, "attention_jax", MODULE), wanted, 1e-5)


def test_every_contender_is_known_to_its_benchmark():
    for module in (attention_module, decoding, language_step, recurrent_step, training_step):
        case = {"attention_module": MODULE, "recurrent_step": RECURRENT, "language_step": LANGUAGE}
        given = case.get(module.__name__.rpartition(".")[2], {**STEP, **DECODE, "dropout": 0.0})
        with pytest.raises(ValueError, match="contender is 'left'; of"):
            module.prepare("left", given)


def test_decoded_tokens_become_numbers_that_tell_them_apart():
    one, other = decoding.weighed([[3, 4], [5, 6]]), decoding.weighed([[4, 3], [5, 6]])
    assert one == [11.0, 17.0] and other == [10.0, 17.0]


def test_the_headline_has_peers_in_jax_without_torch(capsys):
    words = ["--size", "tiny", "--lengths", "512"]
    options = command.parser(headline.__doc__, choose=False)
    options.add_argument("--lengths", nargs="+", type=int)
    options.add_argument("--size")
    options.add_argument("--rows", type=int, default=2)
    groups = list(headline.groups(options.parse_args(words)))
    names = [{entry.contender.name for entry in group} for group in groups]
    ours = set(decoding.OURS)
    assert names[:2] == [{"attention_jax", "jax.nn", "flax"}] * 2
    assert names[2] == {"attention_jax", "attention_jax bfloat16", "flax"}
    assert all(some <= ours for some in names[3:]) and len(names) == 5
    assert "without --torch: no torch" in capsys.readouterr().err


@pytest.mark.slow
def test_training_steps_start_alike_and_learn():
    case = {**STEP, "dropout": 0.0}
    for name in ("flax", "attention_jax bfloat16"):
        prepared = training_step.prepare(name, case)
        losses = [prepared.call() for _ in range(3)]
        assert losses[2] < losses[0] and 3 < losses[0] < 6, name


@pytest.mark.slow
@pytest.mark.parametrize(
    "module, case", [(recurrent_step, RECURRENT), (language_step, LANGUAGE)], ids=["lstm", "gpt"]
)
def test_other_steps_learn(module, case):
    prepared = module.prepare("attention_jax", case)
    losses = [prepared.call() for _ in range(3)]
    assert losses[2] < losses[0] and 3 < losses[0] < 6


@pytest.fixture(scope="module")
def torch_process():
    python = os.environ.get("ATTENTION_JAX_TORCH_PYTHON")
    if python is None:
        pytest.skip("ATTENTION_JAX_TORCH_PYTHON names no Python that has torch")
    one = Process(python, cores=here()[:1])
    yield one
    one.close()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_torch_does_the_same_work(torch_process):
    found = torch_process.prepare(attention_module.MODULE, "torch", MODULE)
    assert agree(found["look"], looked(attention_module, "attention_jax", MODULE), 1e-5)
    for module, case, name in (
        (training_step, {**STEP, "dropout": 0.0}, "torch"),
        (training_step, {**STEP, "dropout": 0.0}, "torch fused"),
        (training_step, {**STEP, "dropout": 0.0}, "torch bfloat16"),
        (recurrent_step, RECURRENT, "torch"),
        (language_step, LANGUAGE, "torch fused"),
    ):
        found = torch_process.prepare(module.MODULE, name, case)
        assert 3 < found["look"][0] < 6, (module.MODULE, name)
