"""The command line that all benchmarks share, and what it does."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks.bench import earlier, table
from experiments.benchmarks.bench.entry import Contender, Entry
from experiments.benchmarks.bench.pool import Pool
from experiments.benchmarks.bench.process import here
from experiments.benchmarks.bench.records import failures, records
from experiments.benchmarks.bench.server import CLOCKS
from experiments.benchmarks.bench.surroundings import surroundings
from experiments.benchmarks.bench.turns import measure

VERSION = "import importlib.metadata as found; print(found.version('jax'))"


def parser(
    doc: str | None, *, rounds: int = 7, seconds: float = 0.5, choose: bool = True
) -> argparse.ArgumentParser:
    """The options of every benchmark; its own may be added.

    Args:
      doc: the benchmark's docstring, whose first line is the question.
      rounds: how many, unless the command says so.
      seconds: of a turn, unless the command says so.
      choose: whether --contenders is one of them.
    """
    found = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    found.add_argument("--torch", help="an interpreter that has the peers; without: none of them")
    found.add_argument("--jax", nargs="+", default=[sys.executable], help="interpreters")
    if choose:
        found.add_argument("--contenders", nargs="+", metavar="NAME", help="only these")
    found.add_argument("--rounds", type=int, default=rounds)
    found.add_argument("--seconds", type=float, default=seconds, help="about, of a turn")
    found.add_argument("--cores", type=int, default=len(here()), help="that libraries may use")
    found.add_argument("--clock", choices=list(CLOCKS), default="wall")
    found.add_argument(
        "--warm", action=argparse.BooleanOptionalAction, default=True,
        help="keep freed memory, in all processes alike (attention_jax.training.allocator)",
    )  # fmt: skip
    found.add_argument("--out", type=Path, help="a file for the figures: JSON lines go behind its")
    found.add_argument("--picture", type=Path, help="a file for the ratios as a picture")
    found.add_argument("--against", type=Path, help="an earlier run's; if none: what --out holds")
    return found


def contenders(options: argparse.Namespace, kinds: Mapping[str, str]) -> list[Contender]:
    """Those that there are interpreters for.

    Args:
      options: what `parser` read.
      kinds: "torch" or "jax", by the names that the benchmark's `prepare` knows.

    Returns:
      Those of kind "torch" if --torch names an interpreter, and those of kind "jax" for each of
      --jax, whose version is then part of the name.

    Raises:
      SystemExit: --contenders names one that there is not, or an interpreter has no jax.
    """
    chosen = getattr(options, "contenders", None) or list(kinds)
    if odd := sorted(set(chosen) - set(kinds)):
        raise SystemExit(f"--contenders has {odd}; of {list(kinds)} some would fit")
    found = []
    for name in filter(kinds.get, chosen):
        if kinds[name] == "torch":
            found += [Contender(name, name, _program(options.torch))] if options.torch else []
            continue
        for python in options.jax:
            shown = name if len(options.jax) == 1 else f"{name}, jax {_jax_version(python)}"
            found.append(Contender(shown, name, _program(python)))
    if not options.torch and (absent := [name for name in chosen if kinds[name] == "torch"]):
        print(f"without --torch: no {', '.join(absent)}", file=sys.stderr)
    return found


def run(
    groups: Iterable[Sequence[Entry]],
    options: argparse.Namespace,
    *,
    peers: Sequence[str],
    show: Callable[[Sequence[Mapping[str, Any]]], str] = table.wide,
) -> list[dict[str, Any]]:
    """Measures all groups, prints a table, keeps the figures, and says what is odd.

    Args:
      groups: entries that take turns with each other.
      options: what `parser` read.
      peers: whose times the others are divided by: the first that is there.
      show: the table.

    Returns:
      All records.

    Raises:
      SystemExit: a contender failed, or results do not agree; after all is done.
    """
    cores = here()[: options.cores]
    if not 1 <= options.cores <= len(here()):
        raise SystemExit(f"--cores is {options.cores}; 1 to {len(here())} would fit")
    if options.against and not options.against.exists():
        raise SystemExit(f"--against has {options.against}, which is not there")
    compared = options.against or (options.out if options.out and options.out.exists() else None)
    before = earlier.read(compared) if compared else []
    variables = _variables(options.warm)
    about = surroundings(variables, cores, options.clock)
    found: list[dict[str, Any]] = []
    with Pool(variables, cores, options.clock) as pool:
        for group in groups:
            measured = measure(group, pool, rounds=options.rounds, seconds=options.seconds)
            new = [one | about for one in records(measured, peers)]
            found += new
            for one in new:
                print(_said(one), file=sys.stderr, flush=True)
            if options.out:  # after each group: the next may take long
                earlier.append(options.out, (one for one in new if "error" not in one))
    print(show(found))
    for line in earlier.differences(found, before):
        print(line)
    if options.picture:
        from experiments.benchmarks.bench.picture import ratios

        ratios(found, file=options.picture)
    if wrong := failures(found):
        raise SystemExit("\n".join(wrong))
    return found


def _said(one: Mapping[str, Any]) -> str:
    if "error" in one:
        return f"{one['title']}: {one['contender']}: failed"
    ratio = f", {one['ratio']:.3f} of {one['peer']}" if "ratio" in one else ""
    return f"{one['title']}: {one['contender']}: {one['ms']:.2f} ms{ratio} ({one['label']})"


def _variables(warm: bool) -> dict[str, str]:
    if not warm:
        return dict(os.environ)
    from attention_jax.training.allocator import warmed

    return warmed()


def _program(python: str) -> str:
    """The interpreter by its whole path, for processes elsewhere; what is on the PATH stays."""
    return os.path.abspath(python) if os.path.dirname(python) else python


def _jax_version(python: str) -> str:
    try:
        return subprocess.run(
            [python, "-c", VERSION], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"--jax has {python}, which has no jax or cannot be started") from error
