"""Hostile parallel text: no crash without a message, no line lost in silence, none shifted.

Every line is of a kind, and of every kind it is known what must become of it. So each corpus has
its expected pairs, its expected lines in quarantine and, if it must be refused, the lines that the
message may name.
"""

import gzip
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attention_jax.data import DataConfig, DataError, Pair
from attention_jax.training.prepared import Prepared, prepare

SYMBOLS = [chr(point) for point in range(0xA1, 0x19000) if not 0xD800 <= point < 0xE000][:100_000]
WORDS = ["the", "a", "red", "big", "cat", "dog", "house", "sees", "likes", "has"]
BLANK = "empty on a side"

KINDS: Mapping[str, tuple[str | None, Callable[[int], str | bytes]]] = {
    "words": (None, lambda n: " ".join([str(n), *random.Random(n).choices(WORDS, k=4)])),
    "right to left": (None, lambda n: f"{n} \u202bשלום \u200f(עולם)\u202c مرحبا"),
    "separators": (None, lambda n: f"{n} one\u2028two\u2029three\x0bfour\x0cfive\x85six\x1cseven"),
    "a carriage return": (None, lambda n: f"{n} one\rtwo"),
    "a byte order mark": (None, lambda n: f"{n} one\ufefftwo \ufeff"),
    "symbols": (None, lambda n: f"{n} " + "".join(SYMBOLS[100 * n % len(SYMBOLS) :][:100])),
    "markup": (None, lambda n: f"{n} </script><img src=x onerror=alert(1)> <end> <pad> \\x00 %s"),
    "controls": (None, lambda n: f"{n} \x01\x1b[31mred\x7f e" + "\u0301" * 20),
    "spaces around": (None, lambda n: f"  {n}  two   spaces "),
    "empty": (BLANK, lambda n: ""),
    "only spaces": (BLANK, lambda n: "   "),
    "only wide spaces": (BLANK, lambda n: "\u3000\u2028\xa0"),
    "a lone surrogate": ("invalid UTF-8", lambda n: b"%d \xed\xa0\x80" % n),
    "latin-1": ("invalid UTF-8", lambda n: b"%d caf\xe9" % n),
    "half a character": ("invalid UTF-8", lambda n: b"%d \xf0\x9f\x98" % n),
    "NUL": ("NUL character", lambda n: b"%d n\0l" % n),
    "a tab": ("not two columns", lambda n: f"{n} a\tb"),
    "10 MB": ("longer than 1,048,576 bytes", lambda n: b"%d " % n + b"x" * 10_000_000),
}
"""Why a line of each kind must be left out, if it must, and such a line with a number in it."""

ORDER = ["longer than 1,048,576 bytes", "NUL character", "invalid UTF-8", "not two columns", BLANK]
"""Reasons in the order in which a line is looked at."""

GOOD = [kind for kind, (reason, _) in KINDS.items() if reason is None]
HARM = [kind for kind in KINDS if kind not in (*GOOD, "a tab", "10 MB")]


@dataclass(frozen=True)
class Row:
    """A line and its translation."""

    kinds: tuple[str, str]
    sides: tuple[bytes, bytes]

    @classmethod
    def of(cls, number: int, *kinds: str) -> "Row":
        """A row of such kinds, with its number on both sides."""
        texts = [KINDS[kind][1](number) for kind in kinds]
        one, other = (text if isinstance(text, bytes) else text.encode() for text in texts)
        return cls((kinds[0], kinds[1]), (one, other))

    @property
    def reasons(self) -> list[str]:
        """Why it must be left out: for each bad side, else for each empty one."""
        found = [reason for kind in self.kinds if (reason := KINDS[kind][0])]
        return [reason for reason in found if reason != BLANK] or found

    @property
    def pair(self) -> Pair:
        """What must be read, if it is not left out."""
        return Pair(self.sides[0].decode(), self.sides[1].decode())


@dataclass(frozen=True)
class Made:
    """A corpus in its files, and what it holds."""

    config: DataConfig
    rows: Mapping[str, Sequence[Row]]
    """by the beginning of the file's name"""
    table: bool
    """whether both sides stand in one line"""

    @property
    def left_out(self) -> Counter[tuple[str, int, str]]:
        """(beginning of the file's name, line, reason) of all rows that must be left out."""
        return Counter(
            # A table's line is looked at as a whole, sides one after the other.
            (stem, n, min(row.reasons, key=ORDER.index) if self.table else row.reasons[0])
            for stem, rows in self.rows.items()
            for n, row in enumerate(rows, start=1)
            if row.reasons
        )

    @property
    def refused(self) -> bool:
        """Whether it must be refused as a whole."""
        bad = sum(reason != BLANK for _, _, reason in self.left_out)
        lines = sum(map(len, self.rows.values()))
        limit = self.config.bad_limit * lines if self.config.bad_lines == "skip" else 0
        return bad > limit


def make(
    folder: Path, rows: Mapping[str, Sequence[Row]], *, form: str, end: bytes = b"\n", **config: Any
) -> Made:
    """Writes rows as a folder of line-aligned files ("sides") or as one "table"; ".gz" packs them.

    Args:
      folder: where to write.
      rows: by split.
      form: "sides", "sides.gz", "table" or "table.gz".
      end: what ends a line.
      config: fields of DataConfig.
    """
    folder.mkdir(parents=True)
    kind, _, packed = form.partition(".")
    if kind == "table":
        rows = {"made": [row for part in rows.values() for row in part]}
        files = {"made.tsv": [b"\t".join(row.sides) for row in rows["made"]]}
    else:
        files = {
            f"{stem}.{language}": [row.sides[at] for row in part]
            for stem, part in rows.items()
            for at, language in enumerate(("en", "es"))
        }
    for name, lines in files.items():
        data = end.join([*lines, b""])
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(data, 1) if packed else data)
    sizes: dict[str, Any] = {"vocabulary": 300, "max_length": 512, "batch_tokens": 2_048} | config
    return Made(DataConfig(corpus=str(folder), **sizes), rows, kind == "table")


def drawn(folder: Path, chance: random.Random, *, long: bool) -> Made:
    """A corpus drawn at random; `long` gives it a line of 10 MB."""
    form = chance.choice(["sides", "sides.gz", "table", "table.gz"])
    share, first, rows = chance.choice([0, 0.02, 0.3]), chance.randrange(1_000), {}
    for stem, count in (("train", 60), ("val", 12), ("test", 12)):
        rows[stem] = []
        for number in range(first, first + count):
            kinds = chance.choices(GOOD, k=2)
            if number >= first + 4 and chance.random() < share:
                kinds[chance.randrange(2)] = chance.choice(HARM)
            rows[stem].append(Row.of(number, *kinds))
        first += count
    if long:
        rows["train"][chance.randrange(4, 60)] = Row.of(first, "words", "10 MB")
    if form.startswith("table") and share:
        rows["train"][chance.randrange(4, 60)] = Row.of(first + 1, "a tab", "words")
    return make(
        folder,
        rows,
        form=form,
        end=chance.choice([b"\n", b"\r\n"]),
        bad_lines=chance.choice(["refuse", "skip", "skip"]),
        bad_limit=chance.choice([0.01, 0.5, 1.0]),
    )


def wrong(made: Made, prepared: Prepared) -> list[str]:
    """What of a corpus that was read is not as it must be."""
    found, corpus = [], prepared.corpus
    lines = sum(map(len, made.rows.values()))
    kept = [pair for pairs in corpus.splits.values() for pair in pairs]
    if lines != len(kept) + len(corpus.quarantined):
        found.append(f"{lines} lines, {len(kept)} pairs, {len(corpus.quarantined)} in quarantine")
    wanted = [row.pair for rows in made.rows.values() for row in rows if not row.reasons]
    if sorted(kept) != sorted(wanted):
        found.append("pairs are not those of the files")
    left_out = Counter(
        (Path(line.file).name.partition(".")[0], line.line, line.reason)
        for line in corpus.quarantined
    )
    if left_out != made.left_out:
        found.append(f"in quarantine: {left_out - made.left_out}, not {made.left_out - left_out}")
    for split, pairs in corpus.splits.items():
        examples = prepared.examples(split)
        if len(examples) + examples.dropped != len(pairs):
            found.append(f"{split}: {len(examples)} examples of {len(pairs)} pairs")
        for place, *ids in zip(examples.kept, examples.sources, examples.targets, strict=True):
            if tuple(map(prepared.tokenizer.decode, ids)) != pairs[place][:2]:
                found.append(f"{split}: pair {place + 1} is another after the tokenizer")
    rows = sum(int(batch.weights[:, 0].sum()) for batch in prepared.plan(0))
    if rows != len(prepared.examples("train")):
        found.append(f"batches hold {rows} of {len(prepared.examples('train'))} examples")
    held_out = [batch for batches in prepared.held_out().values() for batch in batches]
    rows = sum(int(batch.weights[:, 0].sum()) for batch in held_out)
    if rows != sum(len(prepared.examples(split)) for split in corpus.splits if split != "train"):
        found.append(f"held out batches hold {rows} examples")
    return found


def helpful(made: Made, message: str) -> bool:
    """Whether a refusal is one line that names a line which is bad indeed."""
    named = re.search(r"([^/.\s]+)\.[^/\s]*, line (\d+): ", message)
    bad = {(stem, number) for stem, number, reason in made.left_out if reason != BLANK}
    return "\n" not in message and bool(named) and (named[1], int(named[2])) in bad


def judged(made: Made) -> tuple[str, list[str]]:
    """What became of a corpus, and what of that must not be."""
    try:
        prepared = prepare(made.config)
        found = wrong(made, prepared)
    except DataError as error:
        if made.refused and helpful(made, str(error)):
            return "refused with a message", []
        return "wrong", [f"it was refused: {error}"]
    if made.refused:
        found.append(f"it was not refused, with {made.left_out}")
    return ("wrong", found) if found else ("ran", [])


def trained(made: Made, folder: Path) -> list[str]:
    """What must not be when the real command trains two steps on a corpus."""
    from experiments.benchmarks.survival.runs import SIZES, Course

    data = {
        "data.corpus": made.config.corpus,
        "data.bad-lines": made.config.bad_lines,
        "data.bad-limit": made.config.bad_limit,
        "data.max-length": 64,
        "data.batch-tokens": 1_024,
        "training.steps": 2,
    }
    code, said, _ = Course(folder, SIZES | data).start(folder / "run", cached=False).end()
    if made.refused:
        fits = code == 2 and len(said.splitlines()) == 1 and helpful(made, said.strip())
        return [] if fits else [f"exit code {code}, for a corpus to be refused: {said}"]
    if code:
        return [f"exit code {code}: {said}"]
    path = folder / "run" / "quarantine.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    found = Counter((line["line"], line["reason"]) for line in map(json.loads, lines))
    wanted = Counter((line, reason) for _, line, reason in made.left_out)
    return [] if found == wanted else [f"quarantine.jsonl has {found}, not {wanted}"]


def check(folder: Path, *, rounds: int, seed: int) -> dict[str, Any]:
    """Reads corpora drawn at random, and trains on a few of them with the real command.

    Args:
      folder: for the corpora; each is deleted when it is done.
      rounds: how many. The first has 100,000 different symbols, one in ten a line of 10 MB; one in
        a hundred, two at least, are trained on: of these, every other must be refused.
      seed: of all draws.

    Returns:
      How many "ran" or were "refused with a message"; and what must be 0: those that "crashed" or
      went "wrong", with their "faults".
    """
    counts: Counter[str] = Counter()
    faults: list[str] = []
    trainings = iter(range(max(2, rounds // 100)))
    wanted = next(trainings)
    for number in range(rounds):
        place = folder / f"corpus-{number}"
        if number:
            chance = random.Random(f"corpus {seed} {number}")
            made = drawn(place, chance, long=number % 10 == 1)
        else:
            made = symbols(place)
        try:
            outcome, found = judged(made)
            if wanted is not None and made.left_out and made.refused == bool(wanted % 2):
                wanted = next(trainings, None)
                counts["trained on"] += 1
                found += trained(made, place)
        except Exception as error:  # whatever it is, it is counted
            outcome, found = "crashed", [f"{type(error).__name__}: {error}"]
        counts["wrong" if found and outcome != "crashed" else outcome] += 1
        counts["lines"] += sum(map(len, made.rows.values()))
        counts["lines left out"] += 0 if made.refused else made.left_out.total()
        faults += [f"corpus {number}: {fault}" for fault in found]
        shutil.rmtree(place)
    named = ("ran", "refused with a message", "crashed", "wrong")
    numbers = {name: counts[name] for name in (*named, "trained on", "lines", "lines left out")}
    return {"rounds": rounds, "seed": seed, **numbers, "faults": faults}


def symbols(folder: Path) -> Made:
    """A corpus of all `SYMBOLS`."""
    rows = [Row.of(number, "symbols", "words") for number in range(len(SYMBOLS) // 100)]
    return make(folder, {"train": rows, "val": rows[:20]}, form="sides", bad_lines="skip")
