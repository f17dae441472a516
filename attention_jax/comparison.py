"""Comparisons: many experiments run side by side, and one report of them all.

An experiment file is a question; it hands its list of `Experiment`s to `main`. The report is
written after the first run and again as seeds are completed, so that it can be read on the way.
"""

import argparse
import json
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attention_jax.analysis.head_counts import curve
from attention_jax.experiment import Experiment, load
from attention_jax.training.environment import environment
from attention_jax.workers import Workers, default_workers

Grids = Mapping[str, Sequence[Experiment]]


def main(
    grids: Grids, *, title: str, sentence: str, folder: str, arguments: Sequence[str] | None = None
) -> Path:
    """Runs one of several grids of experiments and writes the report.

    Args:
      grids: by name: "default", and others such as "smoke" and "full", each an option of its own.
      title: heading of the report.
      sentence: whose attention maps are shown.
      folder: where runs and report go, unless the command line says otherwise.
      arguments: of the command line; those of the process if None.

    Returns:
      The report's folder.
    """
    options = _parse(grids, title, folder, arguments)
    chosen = next((name for name in grids if getattr(options, name, False)), "default")
    experiments = grids[chosen]
    out = Path(options.out if chosen == "default" else f"{options.out}-{chosen}")
    places = {out / "runs" / experiment.name: experiment for experiment in experiments}
    command = shlex.join(["python", os.path.relpath(sys.argv[0]), *sys.argv[1:]])
    report = Reporter(out / "report", experiments, title, sentence, command)
    began = time.perf_counter()
    count = min(options.workers or default_workers(), len(places))
    with Workers(out, count) as workers:
        for record in workers.run(places):
            report.add(out / "runs" / record["name"], record)
            print(f"{time.perf_counter() - began:5.0f} s  {line_of(record)}", flush=True)
    report.finish()
    print(f"\n{report.text()}\n\nReport: {report.folder / 'index.html'}", flush=True)
    return report.folder


class Reporter:
    """Collects what runs leave behind and writes the report."""

    def __init__(
        self,
        folder: Path,
        experiments: Sequence[Experiment],
        title: str,
        sentence: str,
        command: str,
    ):
        """See `main`."""
        self.folder, self.title, self.sentence, self.command = folder, title, sentence, command
        self.expected = [(one.model.heads, one.seed) for one in experiments]
        self.records: list[Mapping[str, Any]] = []
        self.curves: dict[tuple[int, int], list[tuple[int, float]]] = {}
        self.folders: dict[int, Path] = {}

    def add(self, folder: Path, record: Mapping[str, Any]) -> None:
        """Takes in a finished run; the first of all, and the last of each seed, show at once."""
        self.records.append(record)
        lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
        self.curves[record["heads"], record["seed"]] = curve([json.loads(line) for line in lines])
        if record["seed"] == min(seed for _, seed in self.expected):
            self.folders[record["heads"]] = folder
        heads = {heads for heads, _ in self.expected}
        if len(self.records) == 1 or len(self.records) % len(heads) == 0:
            self._write({}, {})

    def finish(self) -> None:
        """Writes the whole report, with attention maps and sample translations."""
        folders = dict(sorted(self.folders.items()))
        maps = {heads: attention_maps(folder, self.sentence) for heads, folder in folders.items()}
        self._write(maps, sample_translations(folders, self.sentence))

    def text(self) -> str:
        """The report's Markdown: verdict and table."""
        return (self.folder / "report.md").read_text("utf-8")

    def _write(self, attention, samples) -> None:
        from attention_jax.views.report import write_report

        write_report(
            self.folder,
            self.records,
            self.curves,
            attention,
            title=self.title,
            command=self.command,
            environment=environment(),
            samples=samples,
            expected=self.expected,
        )


def line_of(record: Mapping[str, Any]) -> str:
    """A finished run in one line."""
    scores = record["test"].get("test", record)
    return (
        f"heads {record['heads']}, seed {record['seed']}: loss {scores['loss']:.4f}, exact match "
        f"{scores['exact_match']:.1%}, BLEU {scores['bleu']['score']:.1f}, "
        f"{record['tokens_per_second']:,.0f} tokens/s"
    )


def sample_translations(
    folders: Mapping[int, Path], sentence: str, most: int = 8
) -> dict[int, list[tuple[str, str, str]]]:
    """(source, reference, translation) of the same test sentences, by head count.

    The sentence comes first, if the test split has it; then those that most models get wrong, which
    fill half of the places, and the first ones of the split.
    """
    found: dict[int, dict[str, tuple[str, str, str]]] = {}
    wrong: Counter[str] = Counter()
    for heads, folder in folders.items():
        lines = (folder / "translations.jsonl").read_text("utf-8").splitlines()
        test = [one for one in map(json.loads, lines) if one["split"] == "test"]
        found[heads] = {
            one["source"]: (one["source"], one["reference"], one["translation"]) for one in test
        }
        wrong.update(one["source"] for one in test if one["reference"] != one["translation"])
    every = list(next(iter(found.values())))
    chosen = [one for one in every if one == sentence]
    chosen += [one for one, _ in wrong.most_common(most // 2) if one not in chosen]
    chosen += [one for one in every if one not in chosen][: most - len(chosen)]
    return {heads: [samples[one] for one in chosen] for heads, samples in found.items()}


def attention_maps(folder: Path, sentence: str) -> dict[str, Any]:
    """Where every head of a run looks while it translates a sentence, greedily."""
    import numpy as np
    from flax import nnx

    from attention_jax.data import END, START
    from attention_jax.decoding import DecodingConfig, Translator

    experiment, tokenizer, graph, params = load(folder)
    longest = experiment.data.max_length
    config = DecodingConfig(max_length=longest, rows=1)
    found = Translator(graph, params, tokenizer, config, longest).translate([sentence])[0]
    source = [*tokenizer.encode(sentence), END]
    target = [START, *tokenizer.encode(found)]
    ids = (np.asarray([row], np.int32) for row in (source, target))
    _, weights = nnx.merge(graph, params)(*ids, explain=True)
    return {
        "source_tokens": tokenizer.tokens(source),
        "target_tokens": tokenizer.tokens(target),
        **{name: np.asarray(part)[:, 0] for name, part in weights._asdict().items()},
    }


def _parse(grids: Grids, title: str, folder: str, arguments) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=title)
    kinds = parser.add_mutually_exclusive_group()
    for name, grid in grids.items():
        if name != "default":
            steps = max(one.training.steps for one in grid)
            kinds.add_argument(
                f"--{name}", action="store_true", help=f"{len(grid)} runs of {steps:,} steps"
            )
    parser.add_argument("--out", default=folder, help="folder for runs and report (%(default)s)")
    parser.add_argument("--workers", type=int, help="processes side by side; default: the cores")
    return parser.parse_args(arguments)
