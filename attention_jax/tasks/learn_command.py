"""The command `attention-jax learn`: train one of the family's other systems, or go on with it."""

import difflib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from attention_jax.options import parse, value_of

PROGRAM = "attention-jax learn"

HELP = """usage: attention-jax learn TASK --run DIR [OPTIONS]

Train one of the family's other systems in a run folder, or go on with the run that the folder
holds: attention-jax learn --run DIR.

tasks:
{tasks}

attention-jax learn TASK --help lists the options of a task."""


def learn(words: Sequence[str]) -> None:
    """Does what the words of the command line ask for; prints the run's record as JSON.

    Raises:
      ValueError: they ask for nothing that can be learned.
      SystemExit: after help.
    """
    import tyro

    from attention_jax.models.presets import PRESETS
    from attention_jax.tasks.kinds import TASKS
    from attention_jax.tasks.run import read_task, run

    words = list(words)
    if not words or words[0] in ("-h", "--help"):
        tasks = (f"  {kind:16} {_about(task)}" for kind, task in TASKS.items())
        print(HELP.format(tasks="\n".join(tasks)), flush=True)
        raise SystemExit(0 if words else 2)
    kind = None if words[0].startswith("-") else words.pop(0)
    if kind is not None and kind not in TASKS:
        near = difflib.get_close_matches(kind, TASKS, n=1, cutoff=0.0)[0]
        raise ValueError(f"there is no task {kind!r}; the nearest is {near}")
    folder = value_of(words, "--run")
    default: Any = None
    if folder is not None and (Path(folder) / "config.json").exists():
        default = read_task(folder)  # so that `learn --run FOLDER` alone goes on with it
        if kind not in (None, default.kind):
            raise ValueError(f"{folder} is a run of {default.kind}, not of {kind}")
    elif kind is None:
        raise ValueError(f"a task is needed: one of {', '.join(TASKS)}")
    else:
        default = TASKS[kind]()
        if folder is not None:
            default = replace(default, name=Path(folder).absolute().name)
    published = PRESETS.get(getattr(default.model, "kind", ""), {})
    preset = value_of(words, "--model.preset")
    if preset is not None and preset in published:
        default = replace(default, model=published[preset])

    def learn(
        run: Path,
        task: Any = default,
        quiet: bool = False,
        warm: bool = False,
        mesh: str = "auto",
    ) -> dict[str, Any]:
        """Train in a run folder, or go on with the run that the folder holds.

        Args:
          run: the run's folder: new, empty, or that of a run to go on with
          task: what to learn
          quiet: show nothing while training
          warm: keep freed memory for the next step (glibc); 1.2 to 2 times faster on CPUs
          mesh: the devices that train: auto, single, replicate (pmap), or axes of a mesh
        """
        return locals()

    learn.__annotations__["task"] = Annotated[type(default), tyro.conf.arg(name="")]
    program = f"{PROGRAM} {default.kind}"
    given = parse(learn, program, words, config=(tyro.conf.AvoidSubcommands,))
    if given["warm"]:
        from attention_jax.training.allocator import restart_warm

        restart_warm()
    record = run(given["task"], given["run"], quiet=given["quiet"], mesh=given["mesh"])
    print(json.dumps(record, indent=2))


def _about(task: Any) -> str:
    """The first line of a task's docstring, as part of a list."""
    return (task.__doc__ or "").strip().splitlines()[0].rstrip(".")
