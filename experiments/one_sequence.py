"""Is cross-attention needed, or is one sequence enough?

Question: at as many parameters, does a decoder-only Transformer, which reads source and target as
one sequence through self-attention alone, translate as well as an encoder-decoder with
cross-attention? And how far from gold alignments is what its target gives to its source? Of all
heads that with the least error on validation sentences is judged, on test sentences, by the
position that predicts a word and by the one after, which has read it.
Source: Wang et al. 2021, "Language Models are Good Translators"; Och and Ney 2003 (the error).
Command: python experiments/one_sequence.py [--smoke] [--full] [--help]
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from attention_jax import trained
from attention_jax.analysis.cross_heads import gold, judge
from attention_jax.analysis.series import table
from attention_jax.comparison.command import SMALL, Size, run_all
from attention_jax.comparison.labels import labels
from attention_jax.comparison.plan import planned
from attention_jax.experiment import Experiment
from attention_jax.models.decoder_only import DecoderOnlyConfig
from attention_jax.models.kinds import as_transformer
from attention_jax.models.sizes import matched
from attention_jax.options import answered

BASE = replace(SMALL, model=replace(SMALL.model, norm="pre"))
PROGRAM = "experiments/one_sequence.py"
TITLE = "Is cross-attention needed, or is one sequence enough?"
SIZES = {
    "default": Size(800, values=(64,)),
    "full": Size(2_000, values=(64, 128)),
    "smoke": Size(8, values=(16,), seeds=1),
}
READINGS = ("predicting", "having read")


def variants(base: Experiment, widths: Sequence[int]) -> list[Experiment]:
    """For each width an encoder-decoder, and a decoder-only model of as many layers and numbers."""
    models = []
    for width in widths:
        two = replace(as_transformer(base.model), width=width, feed_forward=4 * width)
        layers = two.encoder_layers + two.decoder_layers
        names = ("width", "heads", "dropout", "tied", "vocabulary", "feed_forward")
        shared = {name: getattr(two, name) for name in names}
        one = DecoderOnlyConfig(**shared, layers=layers, positions="sinusoidal", bias=True)
        models += [two, matched(one, two)]
    return [replace(base, model=model) for model in models]


def main() -> None:
    plan = planned(variants, BASE, SIZES, sys.argv[1:], program=PROGRAM, option="width")
    folder = "runs/one_sequence" if plan.size == "default" else f"runs/one_sequence-{plan.size}"
    out, how = plan.out or Path(folder), {"sentence": None, "command": PROGRAM}
    report = run_all(plan.experiments, out, plan.workers, title=TITLE, **how)
    records, sets = [], {}
    for model, one in zip(labels(plan.experiments), plan.experiments, strict=True):
        _, tokenizer, graph, params = trained.load(out / "runs" / one.name)
        record = {"model": model, "width": one.model.width, "seed": one.seed}
        for reading in READINGS:
            if reading not in sets:
                splits = ("validation", "test")
                sets[reading] = [gold(one.data, tokenizer, s, reading=reading) for s in splits]
            found = judge(graph, params, *sets[reading])
            record |= {reading: found.error, f"{reading}, by": str(found.best)}
        records.append(record)
    (out / "alignment.json").write_text("".join(json.dumps(one) + "\n" for one in records))
    print(report.text())
    for reading in READINGS:
        print(f"\nalignment error, {reading}\n\n{table(records, 'model', 'width', reading)}")


if __name__ == "__main__":
    raise SystemExit(answered(PROGRAM, main))
