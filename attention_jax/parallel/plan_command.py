"""`attention-jax plan`: a training step compiled for devices that are not there.

Compilers read their environment once, before JAX starts, and talk much: the work is done in a
process of its own, of which this one passes on what is worth reading.
"""

import json as javascript
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from attention_jax.options import answered, complain, parse
from attention_jax.parallel.layout import Layout
from attention_jax.parallel.topologies import Topology
from attention_jax.training.training_config import TrainingConfig

PROGRAM = "attention-jax"
INSIDE = "ATTENTION_JAX_PLAN"
"""set in the process that does the work"""
TRAINING = TrainingConfig()


@dataclass(frozen=True)
class Question:
    """What is to be planned."""

    topology: Topology
    layout: Layout
    model: Any
    """a config of a Transformer, or of a decoder-only one"""
    rows: int
    length: int
    training: TrainingConfig
    json: bool


def plan(words: Sequence[str]) -> int:
    """Answers `attention-jax plan WORDS`; returns the exit code, 0 whether it fits or not.

    Raises:
      ValueError: an option cannot be read, or the compiler is not installed.
    """
    question = _question(list(words))
    if os.environ.get(INSIDE):
        print(_answer(question), flush=True)
        return 0
    question.topology.check_compiler()
    package = str(Path(__file__).parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        **question.topology.environment,
        INSIDE: "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    command = [sys.executable, "-m", "attention_jax.parallel.plan_command", *words]
    with tempfile.TemporaryFile() as said:
        code = subprocess.run(command, env=environment, stderr=said).returncode
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    ours = [line for line in lines if line.startswith(f"{PROGRAM}: ")]
    if code and not ours:
        print("\n".join(lines[-20:]), file=sys.stderr)
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return complain(
            PROGRAM, f"the process that compiles was {how}; its last words stand above", 1
        )
    print("\n".join(ours), file=sys.stderr, end="\n" if ours else "")
    return code


def _question(words: list[str]) -> Question:
    """The question that options ask."""
    import tyro

    from attention_jax.models import decoder_only_config, transformer_config

    alone = any(word.startswith("--decoder") for word in words)
    side = "decoder" if alone else "model"
    presets = decoder_only_config.PRESETS if alone else transformer_config.PRESETS
    name = _value(words, f"--{side}.preset")
    default = presets.get(name or "", next(iter(presets.values())))
    config = type(default)

    def asked(
        topology: str,
        model: Annotated[config, tyro.conf.arg(name=side)] = default,  # pyright: ignore
        mesh: str | None = None,
        rows: int | None = None,
        length: int | None = None,
        vocabulary: int | None = None,
        training: TrainingConfig = TRAINING,
        json: bool = False,
    ) -> Question:
        """Compile a training step for devices that are not here, and say what it takes of them.

        With --decoder.preset and other options of --decoder the model is a decoder-only one.

        Args:
          topology: which devices and how many: v5e:16x16, v5p:64, v6e:4x4, h100:8, h200:64, cpu:8
          model: the model's sizes
          mesh: how they are laid out, such as data=32,model=8; None: all along data
          rows: of a batch on all devices; None: 16 for each part of it
          length: tokens of a row, of source and target; None: 128, or the context of a decoder
          vocabulary: tokens of the vocabulary; None: as the model has it
          training: the optimizer, and what the model computes in
          json: print JSON
        """
        devices = Topology.parse(topology)
        layout = Layout(data=devices.size) if mesh is None else Layout.parse(mesh)
        if layout.size != devices.size:
            raise ValueError(
                f"mesh {layout} takes {layout.size} devices, and {devices} are {devices.size}"
            )
        model = model if vocabulary is None else replace(model, vocabulary=vocabulary)
        size = {"rows": 16 * layout.batches, "length": getattr(model, "context", 128)}
        given = {"rows": rows, "length": length}
        size |= {option: number for option, number in given.items() if number is not None}
        for option, number in size.items():
            if number < 1:
                raise ValueError(f"{option} is {number}; 1 or more would fit")
        return Question(devices, layout, model, training=training, json=json, **size)

    return parse(asked, f"{PROGRAM} plan", words)


def _answer(question: Question) -> str:
    """The forecast in words, or as JSON."""
    from attention_jax.parallel.advice import advice
    from attention_jax.parallel.dryrun import DryRun
    from attention_jax.parallel.plan_words import words_of

    if hasattr(question.model, "encoder_layers"):
        from attention_jax.models.transformer import Transformer as Model
    else:
        from attention_jax.models.decoder_only import DecoderOnly as Model
    run = DryRun(
        lambda rngs: Model(question.model, rngs=rngs),
        question.training,
        question.topology,
        question.layout,
        sources=hasattr(question.model, "encoder_layers"),
    )
    forecast = run.forecast(question.rows, question.length)
    helps = advice(forecast, question.layout)
    if question.json:
        found = forecast.to_json() | {"model": question.model.preset, "advice": helps}
        return javascript.dumps(found, indent=2, allow_nan=False)
    return "\n".join(words_of(forecast, question.model.preset, helps))


def _value(words: Sequence[str], option: str) -> str | None:
    """The value of an option on which the defaults of others hang."""
    for place, word in enumerate(words):
        if word == option and place + 1 < len(words):
            return words[place + 1]
        if word.startswith(option + "="):
            return word.removeprefix(option + "=")
    return None


if __name__ == "__main__":
    sys.exit(answered(PROGRAM, lambda: plan(sys.argv[1:])))
