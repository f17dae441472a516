"""How many heads of a fixed size?

Question: each further head brings its own queries, keys, values and output: what do the parameters
and the time that it costs buy? (At a fixed width, head_counts.py, more heads are smaller heads; at
matched parameters, matched_parameters.py, the feed-forward network pays for them.)
Source: Bhojanapalli et al. 2020, "Low-Rank Bottleneck in Multi-head Attention Models", section 4:
head size as a number of its own, apart from width / heads.
Command: python experiments/head_sizes.py [--model.head-size 16] [--smoke | --full] [--help]
"""

from collections.abc import Sequence
from dataclasses import replace

from attention_jax.comparison.command import SMALL, Size, main
from attention_jax.experiment import Experiment

BASE = replace(SMALL, model=replace(SMALL.model, head_size=16))

SIZES = {
    "default": Size(800, values=(1, 2, 4, 8)),
    "full": Size(2_000, values=(1, 2, 4, 8)),
    "smoke": Size(8, values=(1, 2), seeds=1),
}


def variants(base: Experiment, heads: Sequence[int]) -> list[Experiment]:
    """The head size stays, so that each head adds as many parameters."""
    return [replace(base, model=replace(base.model, heads=count)) for count in heads]


if __name__ == "__main__":
    main(
        variants,
        BASE,
        SIZES,
        option="heads",
        title="How many heads of a fixed size?",
        sentence="The ball is blue",
        folder="runs/head_sizes",
    )
