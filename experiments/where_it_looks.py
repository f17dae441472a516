"""Does a model look where the thing is that it speaks of?

Question: how much of the attention lies inside the box of the thing that a word names, against one
that is the same everywhere? Does it take the doubly stochastic term (captions, by λ), and do more
heads look better (questions, the head that looks best on validation questions)?
Source: Xu et al. 2015, section 4.2.1 (the term); Liu et al. 2017, section 3.1 (what is measured).
Command: python experiments/where_it_looks.py [--questions] [--begin DIR] [--smoke] [--out DIR]
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from attention_jax.analysis.series import table
from attention_jax.data.scenes import ScenesConfig
from attention_jax.tasks.captioning import CaptioningTask
from attention_jax.tasks.run import run
from attention_jax.tasks.visual_question import VisualQuestionTask

TERMS, HEADS = (0.0, 0.003, 0.03), (1, 2, 4)
RIGHT = "right, share"


def captions(term: float, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures of a captioning run, a record for each kind of word."""
    named = record["grounding"].items()
    return [{"words": kind, "λ": term, RIGHT: record["exact"], **found} for kind, found in named]


def questions(heads: int, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures of a run of questions, a record for each kind of question, and one for all."""
    found = record["grounding"]
    every = {"all": found["test"], **found["test_by_kind"]}
    right = {"all": record["accuracy"], **record["accuracy_by_kind"]}
    return [{"words": kind, "heads": heads, RIGHT: right[kind], **every[kind]} for kind in every]


def shortened(task: Any, steps: int, smoke: bool) -> Any:
    """The task with fewer steps, and in a smoke test hardly any scenes."""
    every = {"evaluate_every": steps, "checkpoint_every": steps, "average": 1, "keep": 1}
    optimizer = replace(task.training.optimizer, warmup=max(1, steps // 20))
    training = replace(task.training, steps=steps, optimizer=optimizer, **every)
    data = ScenesConfig(train=60, validation=30, test=30) if smoke else task.data
    return replace(task, training=training, data=data)


def main() -> None:
    parser = argparse.ArgumentParser(description="Does a model look where the thing is?")
    parser.add_argument("--questions", action="store_true", help="instead of captions")
    parser.add_argument("--begin", type=Path, help="captioning run that questions begin with")
    parser.add_argument("--out", type=Path, default=Path("runs/where_it_looks"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1_200)
    parser.add_argument("--values", type=float, nargs="*", help="of λ, or numbers of heads")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see it work")
    given = parser.parse_args()
    steps, seeds = (2, 1) if given.smoke else (given.steps, given.seeds)
    by, values = ("heads", HEADS) if given.questions else ("λ", TERMS)
    values, records = (given.values or values)[: 1 if given.smoke else None], []
    for value in values:
        for seed in range(seeds):
            if given.questions:
                task = VisualQuestionTask(seed=seed, begin=given.begin)
                task = replace(task, model=replace(task.model, heads=int(value)))
            else:
                task = CaptioningTask(seed=seed, doubly_stochastic=value)
            folder = given.out / f"{'heads' if given.questions else 'term'}-{value:g}-seed-{seed}"
            record = run(shortened(task, steps, given.smoke), folder, quiet=True)
            found = questions(int(value), record) if given.questions else captions(value, record)
            records += [one | {"seed": seed} for one in found]
    (given.out / "records.json").write_text(json.dumps(records, indent=1), "utf-8")
    for y in (RIGHT, "inside", "uniform", "pointing"):
        print(f"{y}\n\n{table(records, 'words', by, y)}\n")


if __name__ == "__main__":
    main()
