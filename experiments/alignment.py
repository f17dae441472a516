"""Which attention finds the words that translate each other?

Question: how far from the phrasebook's gold alignments is the attention of Bahdanau, of Luong's
variants, of convolutions, and of a Transformer's heads? Each target word is linked to the source
word that it attends to most. Of several heads that with the least error on validation sentences is
judged, on test sentences.
Source: Luong et al. 2015, table 6 (.34 to .39, English to German); Och and Ney 2003 (the error).
Command: python experiments/alignment.py [--smoke] [--help]
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from attention_jax import trained
from attention_jax.analysis.cross_heads import bounds, cross_maps, gold, judge, link_map, winding
from attention_jax.analysis.series import table
from attention_jax.comparison.command import SMALL, Size, run_all
from attention_jax.comparison.labels import labels
from attention_jax.comparison.plan import planned
from attention_jax.experiment import Experiment
from attention_jax.models.attentive_rnn import BahdanauConfig, LuongConfig
from attention_jax.models.convolutional import ConvolutionalConfig
from attention_jax.options import answered
from attention_jax.views.plots import heat_maps

BASE, PROGRAM = SMALL, "experiments/alignment.py"
TITLE = "Which attention finds the words that translate each other?"
SIZES = {
    "default": Size(800, values=(64,)),
    "full": Size(2_000, values=(64,)),
    "smoke": Size(8, values=(16,), seeds=1),
}


def variants(base: Experiment, widths: Sequence[int]) -> list[Experiment]:
    """Nine models, for each width."""
    models = []
    for width in widths:
        shared = {"dropout": base.model.dropout, "tied": base.model.tied, "width": width}
        more = {"bidirectional": True, "max_source": base.data.max_length, "reach": 4}
        luong = LuongConfig(**shared, **more)
        models.append(BahdanauConfig(**shared))
        models += [replace(luong, score=one) for one in ("dot", "general", "concat", "location")]
        models += [replace(luong, attention=one) for one in ("local_m", "local_p")]
        models.append(ConvolutionalConfig(**shared, encoder_layers=3, decoder_layers=2))
        models.append(replace(base.model, width=width, feed_forward=4 * width))
    return [replace(base, model=model) for model in models]


def main() -> None:
    plan = planned(variants, BASE, SIZES, sys.argv[1:], program=PROGRAM, option="width")
    out = plan.out or Path("runs/alignment" if plan.size == "default" else f"runs/al-{plan.size}")
    run_all(plan.experiments, out, plan.workers, title=TITLE, sentence=None, command=PROGRAM)
    records, maps, sets = [], {}, []
    for model, one in zip(labels(plan.experiments), plan.experiments, strict=True):
        _, tokenizer, graph, params = trained.load(out / "runs" / one.name)
        sets = sets or [gold(one.data, tokenizer, split) for split in ("validation", "test")]
        found = judge(graph, params, *sets)
        records.append({"model": model, "width": one.model.width, "seed": one.seed})
        records[-1]["error"], records[-1]["best head"] = found.error, str(found.best)
        records[-1]["heads"] = {str(head): error for head, error in found.errors.items()}
        if one.seed == plan.experiments[0].seed:
            for pair in winding(sets[1].pairs, 3):
                drawn = cross_maps(graph, params, tokenizer, pair)[found.best]
                mine = maps.setdefault(pair, {"gold": link_map(pair)})
                mine[f"{model}: {found.error:.2f}"] = drawn
    for number, (pair, mine) in enumerate(maps.items(), start=1):
        look = {"numbers": False, "query_label": "translation"}
        sides = pair.target.split(), pair.source.split()
        heat_maps(mine, *sides, columns=5, **look, file=out / f"sentence-{number}.png")
    (out / "alignment.json").write_text("".join(json.dumps(one) + "\n" for one in records))
    print(f"\n{table(records, 'model', 'width', 'error')}\n\n{bounds(sets[1].aligned)}")


if __name__ == "__main__":
    raise SystemExit(answered(PROGRAM, main))
