"""Does a fixed vector forget long sentences, and does attention not?

Question: how does BLEU fall with the length of the source, for one fixed vector between encoder and
decoder, for Bahdanau's and Luong's attention, for convolutions and a Transformer? The phrasebook's
test_long is longer than all that is trained on. With --data.join 4, up to four sentences make one
in training too. Recurrent models are 1.5 times as wide, so that parameters are about as many.
Source: Bahdanau et al. 2014, figure 2; Cho et al. 2014, "On the properties of neural machine
translation", figure 4.
Command: python experiments/sentence_length.py [--data.join 4 --data.max-length 80] [--smoke]
"""

import json
import shlex
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from attention_jax.analysis.by_length import curves, of_runs, table
from attention_jax.comparison.command import SMALL, Size, run_all
from attention_jax.comparison.labels import labels
from attention_jax.comparison.plan import planned
from attention_jax.experiment import Experiment
from attention_jax.models.attentive_rnn import BahdanauConfig, LuongConfig
from attention_jax.models.convolutional import ConvolutionalConfig
from attention_jax.models.rnn_seq2seq import RnnSeq2SeqConfig
from attention_jax.options import answered
from attention_jax.views.plots import lines

BASE = SMALL
PROGRAM, FOLDER = "experiments/sentence_length.py", "runs/sentence_length"
TITLE = "Does a fixed vector forget long sentences, and does attention not?"
SIZES = {
    "default": Size(800, values=(64,)),
    "full": Size(2_000, values=(64,)),
    "smoke": Size(8, values=(16,), seeds=2),
}


def variants(base: Experiment, widths: Sequence[int]) -> list[Experiment]:
    """Five models of about the same size, for each width of the Transformer."""
    return [one for width in widths for one in _of_width(base, width)]


def _of_width(base: Experiment, width: int) -> list[Experiment]:
    shared = {"dropout": base.model.dropout, "tied": base.model.tied, "embedding": width}
    recurrent = {**shared, "width": width * 3 // 2}
    vector = {"cell": "gru_before", "context": "every", "bidirectional": True}
    models = [
        RnnSeq2SeqConfig(**recurrent, **vector, reverse_source=False),
        BahdanauConfig(**recurrent),
        replace(LuongConfig(**recurrent, bidirectional=True), embedding=None),
        ConvolutionalConfig(**shared, width=width, encoder_layers=3, decoder_layers=2),
        replace(base.model, width=width, feed_forward=4 * width),
    ]
    return [replace(base, model=model) for model in models]


def main() -> None:
    words = sys.argv[1:]
    plan = planned(variants, BASE, SIZES, words, program=PROGRAM, option="width")
    out = plan.out or Path(FOLDER if plan.size == "default" else f"{FOLDER}-{plan.size}")
    command = shlex.join(["python", PROGRAM, *words])
    run_all(plan.experiments, out, plan.workers, title=TITLE, sentence=None, command=command)
    folders = defaultdict(dict)
    for model, one in zip(labels(plan.experiments), plan.experiments, strict=True):
        folders[model][one.seed] = out / "runs" / one.name
    tokenize = BASE.scoring.tokenizer_for(plan.experiments[0].data.target)
    found = of_runs(folders, bins=8, tokenize=plan.experiments[0].scoring.tokenize or tokenize)
    text = json.dumps({model: [asdict(one) for one in mine] for model, mine in found.items()})
    (out / "by_length.json").write_text(text + "\n")
    axis, file = "words of the source", out / "by_length.png"
    lines(curves(found), x_label=axis, y_label="BLEU", title="BLEU by length", file=file)
    print(f"\n{table(found)}\n\nPicture: {file}")


if __name__ == "__main__":
    raise SystemExit(answered(PROGRAM, main))
