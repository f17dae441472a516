"""The command `attention-jax show`: what a model looks at while it reads a sentence, as a page."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from attention_jax.options import parse

PROGRAM = "attention-jax"


def show(words: Sequence[str]) -> None:
    """Writes the page that the words of the command line ask for.

    Raises:
      ValueError: they ask for nothing that can be shown.
    """
    import tyro

    def show(
        sentence: tyro.conf.Positional[tuple[str, ...]] = (),
        run: Path | None = None,
        against: Path | None = None,
        pretrained: str | None = None,
        out: Path = Path("attention.html"),
        which: Literal["best", "last", "mean"] = "best",
        beams: int | None = None,
        hypotheses: int = 1,
        target: str | None = None,
        checkpoints: bool = False,
    ) -> dict:
        """Write a page on which a model's attention to a sentence can be looked at.

        Args:
          sentence: what is read: one sentence, or, for a pretrained encoder, a pair; of a task that
            `attention-jax learn` trained, its own words, such as the number of a test picture
          run: the folder of a trained model
          against: the folder of a second one, to be shown beside it
          pretrained: a Hugging Face folder of a model of texts (BERT-type, GPT-2, Llama, Mistral,
            Qwen2, Marian, T5), or an installed package with one
          out: the page; one HTML file that needs nothing else
          which: the best checkpoint by validation loss, the last, or the mean of the last ones
          beams: live hypotheses of the search; None: as the run's config has it
          hypotheses: translations to show, best first
          target: a translation to read, instead of what the model would say
          checkpoints: all checkpoints that the run has kept, with a slider
        """
        return locals()

    given = parse(show, f"{PROGRAM} show", words)
    if (given["run"] is None) == (given["pretrained"] is None):
        raise ValueError("--run DIR or --pretrained DIR is needed, and only one of them")
    from attention_jax.tasks.run import is_task

    if given["run"] is not None and is_task(given["run"]):
        readings = _task(given)
    elif not given["sentence"]:
        raise ValueError('a sentence is needed, such as "The ball is blue."')
    else:
        readings = _pretrained(given) if given["run"] is None else _runs(given)
    from attention_jax.views.head_view import head_view

    title = f"Attention: {' | '.join(given['sentence'] or [given['run'].name])}"
    page = head_view(readings, title=title).save(given["out"])
    for text in dict.fromkeys(_line(one.model, one.output) for one in readings if one.output):
        print(text)
    print(f"Page: {page}")


def _pretrained(given: dict) -> list:
    from attention_jax.interop.huggingface import load
    from attention_jax.views.pretrained_view import read_pretrained

    _check_unused({**given, "target": None}, "--pretrained")
    if len(given["sentence"]) > 2:
        raise ValueError(f"found {len(given['sentence'])} sentences; one or two would fit")
    return [read_pretrained(load(given["pretrained"]), given["sentence"], given["target"])]


def _task(given: dict) -> list:
    from attention_jax.views.task_show import read_task_run

    _check_unused(given, "a task")
    return read_task_run(given["run"], given["sentence"])


def _check_unused(given: dict, who: str) -> None:
    """Refuses options of translations that others have no use for."""
    standard = {"against": None, "beams": None, "target": None, "checkpoints": False}
    for name, usual in (standard | {"hypotheses": 1, "which": "best"}).items():
        if given[name] != usual:
            raise ValueError(f"--{name} is for translations; {who} has no use for it")


def _runs(given: dict) -> list:
    from attention_jax.training import checkpoint
    from attention_jax.views.gather import read_run

    if len(given["sentence"]) > 1:
        raise ValueError(
            f"found {len(given['sentence'])} sentences; one would fit, in quotes as a whole"
        )
    folders = [folder for folder in (given["run"], given["against"]) if folder is not None]
    names = [folder.absolute().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    options = {name: given[name] for name in ("which", "beams", "hypotheses", "target")}
    readings = []
    for folder, name in zip(folders, names, strict=True):
        steps = checkpoint.finished(folder / "checkpoints") if given["checkpoints"] else None
        readings += read_run(folder, given["sentence"][0], name=name, steps=steps, **options)
    return readings


def _line(model: str, output: str) -> str:
    """Text of a model as one line that a terminal does not obey."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "\ufffd", f"{model}: {output}")
