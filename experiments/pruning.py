"""Which heads of a trained model can go, and what is left when they are gone?

Question: which attention breaks with one head left, in which order can heads go (Michel 2019), how
many outlive gates that cost something (Voita 2019), and what does removal save?
Command: python experiments/pruning.py --run DIR [--smoke] [--out DIR] [--metric exact_match]
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from attention_jax import trained
from attention_jax.analysis import ablation, costs, gates, importance, pruning, removal
from attention_jax.experiment import prepare, read_config


@dataclass(frozen=True)
class Size:
    chosen: int = 256  # sentences of validation and training text that heads are chosen on
    judged: int = 500  # sentences of the first test split, for losses and scores
    points: int = 10  # of a curve
    share: float = 0.25  # of the heads left that a greedy round takes
    strengths: tuple[float, ...] = (0.01, 0.03, 0.1)  # of the gates, in nats a token
    steps: int = 200  # of training with gates, and of training on


SMOKE = Size(16, 8, 3, 1.0, (0.1,), 2)


def study(folder: Path, out: Path, size: Size, metric: pruning.Metric) -> dict:
    """What pruning.json holds; the model without half of its heads becomes the run out/pruned."""
    experiment, tokenizer, graph, params = trained.load(folder, read_config(folder).scoring.which)
    config, prepared = ablation.config_of(graph, params), prepare(experiment.data, tokenizer)
    split = next((name for name in prepared.corpus.splits if name.startswith("test")), "validation")
    chosen = pruning.some_batches(prepared.examples("validation"), size.chosen)
    judged = pruning.some_batches(prepared.examples(split), size.judged)
    pairs = prepared.corpus.splits[split][: size.judged]
    score = pruning.scorer(experiment, tokenizer, pairs, metric)

    slopes = importance.head_importance(graph, params, chosen)
    missed = ablation.losses_without(graph, params, chosen)
    greedy = pruning.greedy_order(graph, params, chosen, share=size.share)
    by_slope, by_chance = pruning.importance_order(slopes), pruning.random_order(config, seed=0)
    orders = {"greedy": greedy, "importance": by_slope, "random": by_chance}
    at = pruning.spread(len(greedy), size.points)
    curves = {
        name: pruning.curve(graph, params, judged, order, at=at, score=score)
        for name, order in orders.items()
    }
    half = greedy[: len(greedy) // 2]
    models = {"before": (graph, params), "masked": (graph, ablation.without(params, config, half))}
    models |= removal.train_on(
        experiment, prepared, params, half, folder=out / "pruned", steps=size.steps
    )
    rows = costs.compare(models, judged, score=score)
    curves["gates"] = gates.curve(
        experiment, graph, params, prepared, size.strengths, judged, steps=size.steps, score=score
    )
    return {
        "name": experiment.name,
        "split": split,
        "metric": metric,
        "baseline": {name: rows[0][name] for name in ("loss", "score")},
        "importance_agrees": importance.rank_correlation(slopes, missed),
        "curves": curves,
        "one_left": pruning.one_left(graph, params, chosen, judged, score=score),
        "removed": rows,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Which heads of a trained model can go?")
    parser.add_argument("--run", type=Path, required=True, help="folder of a trained run")
    parser.add_argument("--out", type=Path, help="where pruning.json goes; default: the run")
    parser.add_argument("--metric", choices=("bleu", "exact_match"), default="bleu")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see it work")
    options = parser.parse_args()
    out, size = options.out or options.run, SMOKE if options.smoke else Size()
    print(pruning.write(out, study(options.run, out, size, options.metric)))
