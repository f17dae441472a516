"""From the folders of finished runs to a report: curves, attention maps, samples, what heads do."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attention_jax.analysis.variants import Run, compare, curve
from attention_jax.comparison.labels import confounds, labels
from attention_jax.experiment import Experiment, read_config
from attention_jax.models.transformer import TransformerConfig
from attention_jax.trained import load
from attention_jax.training.environment import environment
from attention_jax.training.log import replace_file

Lines = list[dict[str, str]]
"""translations of one split, in order: "split", "source", "reference" and "translation\""""


class Reporter:
    """Collects what runs leave behind and writes the report.

    Args:
      folder: of the report.
      experiments: all that there should be; variants stand in their order.
      title: heading of the report.
      sentence: whose attention maps are shown; None takes a short one of the first test split.
      command: what to type to get the report again.
    """

    def __init__(
        self,
        folder: Path,
        experiments: Sequence[Experiment],
        *,
        title: str,
        sentence: str | None,
        command: str,
    ):
        self.folder, self.title, self.sentence, self.command = folder, title, sentence, command
        self.scoring, self.data = experiments[0].scoring, experiments[0].data
        self.notes = confounds(experiments)
        pairs = zip(labels(experiments), experiments, strict=True)
        self.expected: list[Run] = [(label, one.seed) for label, one in pairs]
        self.records: list[Mapping[str, Any]] = []
        self.curves: dict[Run, list[tuple[int, float]]] = {}
        self.folders: dict[str, dict[int, Path]] = {variant: {} for variant, _ in self.expected}

    def add(self, folder: Path, record: Mapping[str, Any]) -> None:
        """Takes in a finished run; its record has its "variant" besides what the run wrote."""
        self.records.append(record)
        lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
        self.curves[record["variant"], record["seed"]] = curve(map(json.loads, lines))
        self.folders[record["variant"]][record["seed"]] = folder

    def sketch(self) -> None:
        """Writes a report of the runs so far, after the first of all and as seeds are completed."""
        done = len(self.records)
        if done == 1 or (done % len(self.folders) == 0 and done < len(self.expected)):
            self._write({})

    def finish(self, *, describe: bool) -> None:
        """Writes the whole report, from the first seed of each variant where one run must do.

        Args:
          describe: also computes what each head of a Transformer does, where a run's folder does
            not hold it yet.
        """
        from attention_jax.analysis.heads import describe as described

        folders = {name: found[min(found)] for name, found in self.folders.items() if found}
        texts = {variant: translations(folder) for variant, folder in folders.items()}
        sentence = self.sentence or short_sentence(next(iter(texts.values())))
        for folder in folders.values():
            of_heads = isinstance(read_config(folder).model, TransformerConfig)
            if describe and of_heads and not (folder / "heads.json").exists():
                found = described(folder, which=self.scoring.which)
                text = json.dumps(found, allow_nan=False) + "\n"
                replace_file(folder / "heads.json", text.encode())
        self._write(
            {variant: attention_maps(folder, sentence) for variant, folder in folders.items()},
            samples=sample_translations(texts, sentence),
            heads=_read_all(folders, "heads.json"),
            pruning=_read_all(folders, "pruning.json"),
            significance=self._significance(texts),
        )

    def text(self) -> str:
        """The beginning of the report's Markdown: verdict and table."""
        return (self.folder / "report.md").read_text("utf-8").split("\n## ")[0].strip()

    def _significance(self, texts: Mapping[str, Lines]) -> list[Any]:
        """Other variants' translations against those of the best one, if all are of one text."""
        from attention_jax.analysis.significance import paired_bleu

        best = compare(self.records, expected=self.expected).best
        references = {tuple(line["reference"] for line in lines) for lines in texts.values()}
        if best is None or len(texts) < 2 or len(references) > 1:
            return []
        said = {variant: [one["translation"] for one in lines] for variant, lines in texts.items()}
        tokenize = self.scoring.tokenizer_for(self.data.target)
        return paired_bleu(said, list(references.pop()), baseline=best, tokenize=tokenize)

    def _write(self, attention: Mapping[str, Any], **found: Any) -> None:
        from attention_jax.views.report import write_report

        write_report(
            self.folder,
            self.records,
            self.curves,
            attention,
            title=self.title,
            command=self.command,
            environment=environment(),
            notes=self.notes,
            expected=self.expected,
            **found,
        )


def translations(folder: Path) -> Lines:
    """What a run wrote for its first test split, or for validation where it has no test."""
    lines = (folder / "translations.jsonl").read_text("utf-8").splitlines()
    by_split: dict[str, Lines] = {}
    for line in map(json.loads, lines):
        by_split.setdefault(line["split"], []).append(line)
    return next((by_split[one] for one in by_split if one != "validation"), by_split["validation"])


def short_sentence(lines: Lines, words: int = 8) -> str:
    """The first source that is about so many words long."""
    return min((line["source"] for line in lines), key=lambda one: abs(len(one.split()) - words))


def sample_translations(
    texts: Mapping[str, Lines], sentence: str, most: int = 8
) -> dict[str, list[tuple[str, str, str]]]:
    """(source, reference, translation) of the same test sentences, by variant.

    The sentence comes first, if the test split has it; then those that most models get wrong, which
    fill half of the places, and the first ones of the split.
    """
    found: dict[str, dict[str, tuple[str, str, str]]] = {}
    wrong: Counter[str] = Counter()
    for variant, lines in texts.items():
        found[variant] = {
            one["source"]: (one["source"], one["reference"], one["translation"]) for one in lines
        }
        wrong.update(one["source"] for one in lines if one["reference"] != one["translation"])
    every = [one for one in next(iter(found.values())) if all(one in by for by in found.values())]
    chosen = [one for one in every if one == sentence]
    often = [one for one, _ in wrong.most_common() if one in every and one not in chosen]
    chosen += often[: most // 2]
    chosen += [one for one in every if one not in chosen][: most - len(chosen)]
    return {variant: [samples[one] for one in chosen] for variant, samples in found.items()}


def attention_maps(folder: Path, sentence: str) -> dict[str, Any]:
    """Where every head of a run looks while it translates a sentence.

    Kinds of attention whose layers differ in their number of heads are left out.
    """
    import jax
    import numpy as np
    from flax import nnx

    from attention_jax.data import END, START
    from attention_jax.decoding import DecodingConfig, Translator
    from attention_jax.models.decoder_only_sequence import apart
    from attention_jax.models.places import PARTS

    experiment, tokenizer, graph, params = load(folder, read_config(folder).scoring.which)
    longest = experiment.data.max_length
    config = DecodingConfig(max_length=longest, rows=1)
    found = Translator(graph, params, tokenizer, config, longest).translate([sentence])[0]
    source = [*tokenizer.encode(sentence), END]
    target = [START, *tokenizer.encode(found)]

    @jax.jit
    def look(params, source, target):
        model = nnx.merge(graph, params)
        return model(source, target, explain=lambda _, weights: weights[0])[1]

    weights = look(params, *(np.asarray([row], np.int32) for row in (source, target)))
    maps = {}
    if weights and all(one.shape[-1] == len(source) + len(target) for one in weights.values()):
        weights = apart(weights, len(source))  # source and target are one sequence
    for part in PARTS:
        layers = [np.asarray(weights[place]) for place in weights if place.part == part]
        if layers and layers[0].size and len({layer.shape for layer in layers}) == 1:
            maps[part] = np.stack(layers)
    return {
        "source_tokens": tokenizer.tokens(source),
        "target_tokens": tokenizer.tokens(target),
        **maps,
    }


def _read_all(folders: Mapping[str, Path], name: str) -> dict[str, Any]:
    """The JSON files of that name that folders hold, by variant."""
    there = {variant: folder / name for variant, folder in folders.items()}
    return {
        variant: json.loads(path.read_text("utf-8"))
        for variant, path in there.items()
        if path.exists()
    }
