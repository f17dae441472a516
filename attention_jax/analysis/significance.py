"""Whether one model translates better than another, or was only lucky with the test sentences.

`statistics` compares variants over seeds: would training again give the same answer? This compares
two trained models over sentences: would other sentences? Neither stands for the other, and a claim
about variants needs the first. Of 16 tests between two seeds of one head count (phrasebook, 1,113
or 1,510 sentences) two had a corrected p < 0.01: the models differ, though nothing was varied.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from attention_jax.analysis.statistics import holm


@dataclass(frozen=True)
class BleuTest:
    """A paired bootstrap of one variant's corpus BLEU against the baseline's.

    Attributes:
      variant: which is tested.
      baseline: what it is tested against.
      bleu: the variant's BLEU, 0 to 100.
      baseline_bleu: the baseline's.
      mean: mean BLEU of the variant over the resamples.
      reach: half the width of the 95 % interval of the variant's own BLEU, which is not that of the
        difference: paired sentences tell more.
      p_value: as sacreBLEU reports it; 1 where the scores are equal.
      p_corrected: doubled, because it is one-sided in effect (see `paired_bleu`), then by Holm for
        all tests of one call.
    """

    variant: str
    baseline: str
    bleu: float
    baseline_bleu: float
    mean: float
    reach: float
    p_value: float
    p_corrected: float


def paired_bleu(
    translations: Mapping[str, Sequence[str]],
    references: Sequence[str],
    *,
    baseline: str,
    samples: int = 1000,
    seed: int = 12345,
    tokenize: str = "13a",
) -> list[BleuTest]:
    """Tests every variant's BLEU against the baseline's, by sacreBLEU's paired bootstrap.

    The same sentences are drawn with replacement for both sides. sacreBLEU's p-value says how often
    a drawn difference exceeds their mean by more than the difference seen. Two things to know of
    it: equal scores get the smallest p-value there is (here they get 1), and it counts one tail. Of
    800 tests between equally bad translations 97 had p < 0.05, and 49 had p < 0.025; therefore
    `p_corrected` doubles it.

    Args:
      translations: by variant, of the same sentences in the same order, detokenized.
      references: what they should have been.
      baseline: the variant that the others are tested against.
      samples: how many times the sentences are drawn.
      seed: of the draws; sacreBLEU's own unless said otherwise.
      tokenize: how sacreBLEU splits text (see `training.metrics.bleu`).

    Returns:
      One test a variant but the baseline, in the order of `translations`.

    Raises:
      ValueError: the lists are empty or not of one length, `baseline` is none of the variants, or a
        number or `tokenize` is impossible.

    Source: Koehn 2004, "Statistical significance tests for machine translation evaluation"; Post
    2018 (sacreBLEU).
    """
    from sacrebleu.metrics.bleu import BLEU

    if baseline not in translations:
        raise ValueError(f"found baseline={baseline!r}; one of {', '.join(translations)} would fit")
    for variant, found in translations.items():
        if not references or len(found) != len(references):
            raise ValueError(
                f"found {len(found)} translations of {variant!r} and {len(references)} references; "
                "equally many, one or more, would fit"
            )
    for name, number in (("samples", samples), ("seed", seed)):
        if number < 1:  # sacreBLEU takes 0 for its own number of samples, and for no fixed seed
            raise ValueError(f"found {name}={number}; one or more would fit")
    if tokenize not in BLEU.TOKENIZERS:
        raise ValueError(
            f"found tokenize={tokenize!r}; one of {', '.join(BLEU.TOKENIZERS)} would fit"
        )

    others = [variant for variant in translations if variant != baseline]
    systems = [(variant, list(translations[variant])) for variant in (baseline, *others)]
    own, *results = _sacrebleu(
        systems, references, BLEU(tokenize=tokenize, force=True), samples, seed
    )
    p_values = [1.0 if found.score == own.score else float(found.p_value) for found in results]
    corrected = holm([min(1.0, 2 * p) for p in p_values])
    return [
        BleuTest(
            variant=variant,
            baseline=baseline,
            bleu=float(found.score),
            baseline_bleu=float(own.score),
            mean=float(found.mean),
            reach=float(found.ci),
            p_value=p,
            p_corrected=together,
        )
        for variant, found, p, together in zip(others, results, p_values, corrected, strict=True)
    ]


def read_translations(
    folders: Mapping[str, str | os.PathLike[str]], *, split: str = "test"
) -> tuple[dict[str, list[str]], list[str]]:
    """Translations by variant, and their references, from the folders of one run each.

    Args:
      folders: by variant, of runs with one seed and one corpus.
      split: which held-out split.

    Raises:
      ValueError: a run has not translated the split, or not the same sentences as the others.
    """
    lines = {variant: _lines(Path(folder), split) for variant, folder in folders.items()}
    if not lines:
        raise ValueError("found no folders; one run or more would fit")
    first, *others = lines
    for variant in others:
        if [line[:2] for line in lines[variant]] != [line[:2] for line in lines[first]]:
            raise ValueError(
                f"found other sentences in the split {split!r} of {variant!r} than of {first!r}; "
                "runs on one corpus would fit"
            )
    found = {variant: [line[2] for line in mine] for variant, mine in lines.items()}
    return found, [reference for _, reference, _ in lines[first]]


def _lines(folder: Path, split: str) -> list[tuple[str, str, str]]:
    """(source, reference, translation) of a run's sentences."""
    path = folder / "translations.jsonl"
    lines = map(json.loads, path.read_text("utf-8").splitlines()) if path.exists() else ()
    found = [
        (one["source"], one["reference"], one["translation"])
        for one in lines
        if one["split"] == split
    ]
    if not found:
        raise ValueError(f"found no translations of the split {split!r} in {path}")
    return found


def _sacrebleu(systems, references, metric, samples: int, seed: int) -> list:
    """Results, the first system's first. sacreBLEU takes its seed from the environment."""
    from sacrebleu.significance import PairedTest

    before = os.environ.get("SACREBLEU_SEED")
    os.environ["SACREBLEU_SEED"] = str(seed)
    try:
        test = PairedTest(
            systems, {"BLEU": metric}, [list(references)], test_type="bs", n_samples=samples
        )
        return test()[1]["BLEU"]
    finally:
        if before is None:
            del os.environ["SACREBLEU_SEED"]
        else:
            os.environ["SACREBLEU_SEED"] = before
