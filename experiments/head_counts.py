"""How many heads, at a fixed width?

Question: with the same parameters, initial arrays, batches and dropout, does it matter whether a
Transformer's width is cut into 1, 2, 4 or 8 heads?
Source: Vaswani et al. 2017, table 3, rows A; there on WMT, here on the phrasebook, or on your text.
Command: make heads, or python experiments/head_counts.py [--smoke | --full] [--help]
"""

from collections.abc import Sequence
from dataclasses import replace

from attention_jax.comparison.command import SMALL, Size, main
from attention_jax.experiment import Experiment

SIZES = {
    "default": Size(800, values=(1, 2, 4, 8)),
    "full": Size(2_000, values=(1, 2, 4, 8)),
    "smoke": Size(8, values=(1, 2), seeds=1),
}


def variants(base: Experiment, heads: Sequence[int]) -> list[Experiment]:
    """Nothing but the number of heads differs."""
    return [replace(base, model=replace(base.model, heads=count)) for count in heads]


if __name__ == "__main__":
    main(
        variants,
        SMALL,
        SIZES,
        option="heads",
        title="How many heads, at a fixed width?",
        sentence="The ball is blue",
        folder="runs/head_counts",
    )
