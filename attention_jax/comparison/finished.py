"""Finished runs, wherever they are, side by side in one report."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from attention_jax.comparison.labels import config_of, differing, labels
from attention_jax.comparison.reporter import Reporter
from attention_jax.experiment import Experiment, read_config, read_result

SAME = ("data.", "decoding.", "scoring.")
"""what runs must share to be comparable"""


def report_on(
    folders: Sequence[Path],
    out: Path,
    *,
    command: str,
    title: str = "Runs side by side",
    sentence: str | None = None,
    anyway: bool = False,
) -> Reporter:
    """Writes a report of finished runs; variants are what their configs differ in.

    Args:
      folders: of the runs; variants stand in this order. What their heads do (heads.json) and
        pruning (pruning.json) is shown where a folder holds it.
      out: the report's folder: new, empty, or that of an earlier report.
      command: what to type to get the report again.
      title: heading of the report.
      sentence: whose attention maps are shown; None takes a short one of the first test split.
      anyway: even where data, decoding or scoring differ.

    Raises:
      ValueError: a folder holds no finished run, two are of the same variant and seed, or what
        must be the same differs; the message names folder and field.
    """
    if len(folders) < 2:
        raise ValueError(f"{len(folders)} run to compare; two or more folders would fit")
    experiments = [read_config(folder) for folder in folders]
    records = [read_result(folder) for folder in folders]
    _check_different(folders, experiments)
    if not anyway:
        _check_same(folders, experiments)
    reporter = Reporter(out, experiments, title=title, sentence=sentence, command=command)
    for folder, record, (variant, _) in zip(folders, records, reporter.expected, strict=True):
        reporter.add(folder, {**record, "variant": variant})
    reporter.finish(describe=False)
    return reporter


def _check_same(folders: Sequence[Path], experiments: Sequence[Experiment]) -> None:
    configs = [config_of(one) for one in experiments]
    for folder, config in zip(folders[1:], configs[1:], strict=True):
        for name, here, there in differing(configs[0], config):
            if name.startswith(SAME):
                raise ValueError(
                    f"{name} is {here!r} in {folders[0]} and {there!r} in {folder}: their scores "
                    "do not compare; runs that share it would fit, or --anyway"
                )


def _check_different(folders: Sequence[Path], experiments: Sequence[Experiment]) -> None:
    runs = zip(folders, labels(experiments), (one.seed for one in experiments), strict=True)
    for (one, label, seed), (other, *rest) in itertools.combinations(runs, 2):
        if [label, seed] == rest:
            raise ValueError(
                f"{one} and {other} are runs of one variant ({label}) and seed ({seed}); runs that "
                "differ in either would fit"
            )
