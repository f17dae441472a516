"""The command line: attention-jax train, translate, evaluate, show, compare and so on.

Options are the fields of the config dataclasses. What a user can put right is answered in one line,
with exit code 2; ATTENTION_JAX_TRACEBACK=1 shows the whole traceback instead.
"""

import contextlib
import difflib
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from attention_jax.options import answered, complain, parse, value_of

PROGRAM = "attention-jax"

HELP = """usage: attention-jax COMMAND [OPTIONS]

commands:
  train      train a model in a run folder, or go on with the run that the folder holds
  translate  translate lines from standard input with a trained model
  evaluate   score a trained model on its held-out text
  show       write a page to look at a model's attention to a sentence
  compare    put finished runs side by side in one report
  learn      train one of the family's other systems: language, vision, speech and so on
  sample     write text with a language model that was learned here
  vectors    learn word vectors that a model's embeddings can start from
  replay     run a batch once more whose loss or gradient was not finite, and say what was not
  plan       compile a training step for devices that are not here: does it fit, how fast is it
  profile    show where the time of a run's training step goes
  doctor     check this machine and its packages

attention-jax COMMAND --help lists the options of a command. Compiled programs are kept for the next
time in ~/.cache/attention_jax/compiled; JAX_ENABLE_COMPILATION_CACHE=0 keeps none."""

UNKEPT = ("plan", "profile", "doctor", "-h", "--help")
"""keep no compiled programs: the first two look at compiling itself"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code.

    Args:
      arguments: without the program's name; None takes the process's own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    commands = {
        "train": _train,
        "translate": _translate,
        "evaluate": _evaluate,
        "show": _show,
        "compare": _compare,
        "learn": _learn,
        "sample": _sample,
        "vectors": _vectors,
        "replay": _replay,
        "plan": _plan,
        "profile": _profile,
        "doctor": _doctor,
    }
    if words and words[0] not in (*commands, "-h", "--help"):
        near = difflib.get_close_matches(words[0], commands, n=1, cutoff=0.0)[0]
        return complain(PROGRAM, f"there is no command {words[0]!r}; the nearest is {near}", 2)
    if not words or words[0] not in commands:
        print(HELP, flush=True)
        return 0 if words else 2
    hint = "; the same command goes on from the last checkpoint, or starts again without one"
    stopped = f"stopped{hint if words[0] == 'train' else ''}"
    return answered(PROGRAM, lambda: commands[words[0]](words[1:]), stopped=stopped)


def command() -> NoReturn:
    """The whole process: runs the command that it was started with, and ends."""
    from attention_jax.training.compiled import compiled_cache
    from attention_jax.training.failures import leave

    if sys.argv[1:] and sys.argv[1] not in UNKEPT:
        compiled_cache()
    leave(main())


@dataclass(frozen=True)
class Translate:
    """Translate lines from standard input; as many lines come out, in their order."""

    run: Path
    """the folder of a trained model"""
    which: Literal["best", "last", "mean"] = "best"
    """the best checkpoint by validation loss, the last, or the mean of the last ones"""
    beams: int | None = None
    """live hypotheses a line, 1 for greedy search; None: as the run's config has it"""
    penalty: float | None = None
    """exponent of the length penalty; None: as the run's config has it"""
    rows: int | None = None
    """lines decoded side by side; None: as the run's config has it"""
    threads: int | None = None
    """each decodes its share of the rows; None: as the run has it, else one a core on CPUs"""
    weights: Literal["float", "int8"] | None = None
    """int8: matrices of eight-bit integers, faster on CPUs and a little less exact"""
    truncate: bool = False
    """cut lines that are too long instead of refusing them"""


@dataclass(frozen=True)
class Evaluate:
    """Score a trained model on its held-out text; prints JSON."""

    run: Path
    """the folder of a trained model"""
    split: str | None = None
    """validation, test or another held-out split; None: all"""
    which: Literal["best", "last", "mean"] | None = None
    """the best checkpoint by validation loss, the last, or their mean; None: as the run has it"""
    tokenize: Literal["13a", "none", "zh", "char", "intl"] | None = None
    """BLEU's tokenization, "none" for text that is tokenised already; None: as the run has it"""
    beams: int | None = None
    """live hypotheses a line, 1 for greedy search; None: as the run has it"""
    penalty: float | None = None
    """exponent of the length penalty; None: as the run has it"""
    weights: Literal["float", "int8"] | None = None
    """int8: matrices of eight-bit integers; the loss stays that of the floats"""


def _train(words: list[str]) -> None:
    import tyro

    from attention_jax.experiment import Experiment, read_config, run
    from attention_jax.models.kinds import KINDS
    from attention_jax.models.presets import PRESETS
    from attention_jax.training import peers

    default = Experiment()
    folder = value_of(words, "--run")
    if folder is not None and (Path(folder) / "config.json").exists():
        default = read_config(folder)  # so that `train --run FOLDER` alone goes on with it
    elif folder is not None:
        default = replace(default, name=Path(folder).absolute().name)
    kind = value_of(words, "--model.kind") or default.model.kind
    if kind not in KINDS:
        raise ValueError(f"--model.kind is {kind!r}; one of {', '.join(KINDS)} would fit")
    if kind != default.model.kind:
        default = replace(default, model=KINDS[kind]())
    preset = value_of(words, "--model.preset")
    if preset is not None and preset in PRESETS.get(kind, {}):
        default = replace(default, model=PRESETS[kind][preset])

    def train(
        run: Path,
        experiment: Annotated[Experiment, tyro.conf.arg(name="")] = default,
        quiet: bool = False,
        warm: bool = False,
        mesh: str = "auto",
        distributed: bool = False,
        coordinator: str | None = None,
        processes: int | None = None,
        process: int | None = None,
    ) -> dict[str, Any]:
        """Train a model in a run folder, or go on with the run that the folder holds.

        The model is a Transformer, or of the kind that --model.kind names: rnn_seq2seq, bahdanau,
        luong, intra_attention, convolutional, decoder_only, universal, summarise, marian or t5;
        with it, --help lists the fields of that kind.

        Args:
          run: the run's folder: new, empty, or that of a run to go on with
          experiment: what to run
          quiet: show nothing while training
          warm: start anew with glibc told to keep freed memory for the next step: 1.2 to 2 times
            faster on CPUs where steps are large; the most memory ever needed stays with the run
          mesh: the devices that train: auto, single, replicate (pmap), or axes of a mesh with their
            devices, of data, fsdp, model and sequence, such as data=4,model=2
          distributed: be one of several processes that SLURM, Open MPI, Kubernetes or a Cloud TPU
            started, all with this same command
          coordinator: be one of several processes: HOST:PORT of the first of them
          processes: how many there are, with coordinator
          process: the number of this one, from 0, with coordinator
        """
        return locals()

    given = parse(train, f"{PROGRAM} train", words, config=(tyro.conf.AvoidSubcommands,))
    if given["warm"]:
        from attention_jax.training.allocator import restart_warm

        restart_warm()
    where = [given[name] for name in ("coordinator", "processes", "process")]
    together: Any = contextlib.nullcontext()
    if given["distributed"] or any(one is not None for one in where):
        from attention_jax.parallel.processes import joined

        together = joined(*where)
    with together:
        record = run(given["experiment"], given["run"], quiet=given["quiet"], mesh=given["mesh"])
    if peers.writes():
        print(json.dumps(record, indent=2))


def _translate(words: list[str]) -> None:
    options = parse(Translate, f"{PROGRAM} translate", words)
    if sys.stdin is None or sys.stdout is None:
        raise ValueError("standard input and output must be open")
    from attention_jax.trained import translator

    decoding = _given(options, "beams", "penalty", "rows", "threads", "weights")
    if options.truncate:
        decoding["too_long"] = "truncate"
    ready = translator(options.run, which=options.which, **decoding)
    for line in ready.translate(_lines(sys.stdin.buffer.read())):
        # A line stays a line, whatever the model says.
        text = " ".join(line.splitlines()) + "\n"
        sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _evaluate(words: list[str]) -> None:
    options = parse(Evaluate, f"{PROGRAM} evaluate", words)
    from attention_jax.trained import evaluate

    scores = evaluate(
        options.run,
        split=options.split,
        scoring=_given(options, "which", "tokenize"),
        decoding=_given(options, "beams", "penalty", "weights"),
    )
    print(json.dumps(scores, indent=2))


def _show(words: list[str]) -> None:
    from attention_jax.views.show import show

    show(words)


def _compare(words: list[str]) -> None:
    import tyro

    def compare(
        runs: tyro.conf.Positional[tuple[Path, ...]],
        out: Path = Path("comparison"),
        title: str = "Runs side by side",
        sentence: str | None = None,
        anyway: bool = False,
    ) -> tuple[tuple[Path, ...], Path, dict[str, Any]]:
        """Put finished runs side by side in one report; their configs' differences name them.

        Args:
          runs: the folders of the runs
          out: the report's folder: new, empty, or that of an earlier report
          title: heading of the report
          sentence: whose attention maps are shown; None: a short one of the test split
          anyway: even where the runs' data, decoding or scoring differ
        """
        return runs, out, {"title": title, "sentence": sentence, "anyway": anyway}

    folders, out, options = parse(compare, f"{PROGRAM} compare", words)
    from attention_jax.comparison.finished import report_on

    report = report_on(folders, out, command=shlex.join([PROGRAM, "compare", *words]), **options)
    print(f"{report.text()}\n\nReport: {report.folder / 'index.html'}")


def _replay(words: list[str]) -> None:
    import tyro

    def replay(run: tyro.conf.Positional[Path], step: int | None = None) -> tuple[Path, int | None]:
        """Run a batch once more whose loss or gradient was not finite; prints JSON.

        Args:
          run: the folder of a run that put such a batch aside, in bad/
          step: which; None: the newest
        """
        return run, step

    folder, step = parse(replay, f"{PROGRAM} replay", words)
    from attention_jax.data import Tokenizer
    from attention_jax.experiment import programs_of, read_config
    from attention_jax.training.replay import account
    from attention_jax.training.replay import replay as replayed

    experiment = read_config(folder)
    training, tokenizer = experiment.training, Tokenizer.load(folder / "tokenizer.json")
    programs = programs_of(experiment, tokenizer)
    settings = {"smoothing": training.smoothing, "rng": training.rng, "step": step}
    found = replayed(folder, programs, tokenizer, **settings)
    print(account(found), file=sys.stderr, flush=True)
    print(json.dumps(found, indent=2, allow_nan=False))


def _learn(words: list[str]) -> None:
    from attention_jax.tasks.learn_command import learn

    learn(words)


def _sample(words: list[str]) -> None:
    from attention_jax.tasks.sample_command import sample

    sample(words)


def _vectors(words: list[str]) -> None:
    from attention_jax.training.vectors_command import vectors

    vectors(words)


def _plan(words: list[str]) -> int:
    from attention_jax.parallel.plan_command import plan

    return plan(words)


def _profile(words: list[str]) -> None:
    from attention_jax.analysis.profile_command import profile

    profile(words)


def _given(options: Any, *names: str) -> dict[str, Any]:
    """Those of the options that were given."""
    found = {name: getattr(options, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _doctor(words: list[str]) -> int | None:
    if words:
        print("usage: attention-jax doctor\n\nChecks this machine and its packages; no options.")
        return 0 if words[0] in ("-h", "--help") else 2
    from attention_jax.doctor import doctor

    return doctor()


def _lines(raw: bytes) -> list[str]:
    """The lines of UTF-8 text, counted from 1 where one is not."""
    lines = raw.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    texts = []
    for number, line in enumerate(lines, start=1):
        try:
            texts.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(
                f"line {number} of standard input is not UTF-8: byte {error.start + 1} is "
                f"0x{line[error.start]:02x}"
            ) from error
    return texts
