"""Which score fails when it is wide?

Question: at 32 to 1,024 features, do additive, dot, scaled dot, general, concat and location learn
one task alike, and is unscaled dot the one that fails? A softmax whose logits lie far apart passes
hardly a gradient: so their variance and the entropy of the weights at the start and the end, too.
Source: Vaswani et al. 2017, section 3.2.1 (the conjecture); Britz et al. 2017, table 5; Luong 2015.
Command: python experiments/score_functions.py [--widths 32 1024] [--smoke] [--out FOLDER]
"""

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

from attention_jax.analysis.logit_statistics import logit_statistics
from attention_jax.analysis.scored import SCORES, scored
from attention_jax.analysis.series import series, table
from attention_jax.data import DataConfig
from attention_jax.decoding import DecodingConfig
from attention_jax.models.transformer import TransformerConfig
from attention_jax.training.chosen import read_params
from attention_jax.training.loop import TrainingConfig, fit
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.prepared import prepare
from attention_jax.training.programs import Programs
from attention_jax.training.scores import ScoringConfig, score
from attention_jax.views.line_plots import lines

DATA = DataConfig(vocabulary=1_500, max_length=32, batch_tokens=512)
MODEL = TransformerConfig("tiny", 1_500, 64, 1, 1, 4, feed_forward=256, dropout=0.0, norm="pre")
TRAINING = TrainingConfig(
    optimizer=OptimizerConfig(schedule="cosine", peak=4e-3, warmup=100),
    smoothing=0.0,
    checkpoint_every=10_000,
    keep=1,
    average=1,
)
PLOTS = {"exact_match": False, "loss": True, "variance_start": True, "variance_end": True}
COLUMNS = (*PLOTS, "bleu", "evenness_start", "evenness_end")


def runs(prepared, name: str, width: int, seeds: int, steps: int, out: Path) -> list[dict]:
    """A record for each seed; those that `out` holds already are read."""
    training = replace(TRAINING, steps=steps, evaluate_every=max(steps // 4, 1))
    model = replace(MODEL, vocabulary=prepared.tokenizer.size)
    make = partial(_make, model, name, width)
    programs = Programs(make, training.optimizer, steps=steps, smoothing=0.0, rng=training.rng)
    return [
        run(prepared, programs, training, seed, out / f"{name}-{width}-s{seed}")
        | {"score": name, "width": width}
        for seed in range(seeds)
    ]


def run(prepared, programs, training, seed: int, folder: Path) -> dict:
    file = folder / "record.json"
    if not file.exists():
        held_out = prepared.held_out()
        look = partial(logit_statistics, programs.graph, batches=held_out["validation"][:4])
        (start,) = look(programs.start(seed).params)
        fit(
            programs,
            training,
            prepared.plan(seed),
            held_out["validation"],
            folder,
            seed=seed,
            quiet=True,
        )
        params = read_params(folder, programs.structs.params, "last")
        (end,) = look(params)
        judged = score(
            programs,
            params,
            prepared,
            DecodingConfig(max_length=32, rows=128),
            ScoringConfig("last"),
            {"test": held_out["test"]},
        )
        numbers = {f"{key}_start": value for key, value in start.items()}
        numbers |= {f"{key}_end": value for key, value in end.items()}
        file.write_text(json.dumps(numbers | judged["test"].scores | {"seed": seed}))
    return json.loads(file.read_text())


def _make(model, name, width, rngs):
    return scored(model, name, width, longest=DATA.max_length, rngs=rngs)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description="Which score fails when it is wide?")
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 128, 512, 1_024])
    parser.add_argument("--scores", nargs="+", default=SCORES, choices=SCORES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--smoke", action="store_true", help="8 steps, one seed, two widths")
    parser.add_argument("--out", type=Path, default=Path("runs/score_functions"))
    options = parser.parse_args(arguments)
    steps, seeds, widths = (
        (8, 1, [8, 16]) if options.smoke else (options.steps, options.seeds, options.widths)
    )
    prepared, records = prepare(DATA), []
    for width in widths:
        for name in options.scores:
            records += runs(prepared, name, width, seeds, steps, options.out)
            print(table(records[-seeds:], "score", "width", "exact_match"), flush=True)
    for column in COLUMNS:
        print(f"\n{table(records, 'score', 'width', column)}")
    for column, log in PLOTS.items():
        lines(
            series(records, "score", "width", column),
            x_label="width of the score",
            y_label=column,
            log_x=True,
            log_y=log,
            file=options.out / f"{column}.png",
        )


if __name__ == "__main__":
    main()
