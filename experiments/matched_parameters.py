"""Heads or a wider feed-forward network?

Question: with heads of one size and equal parameters in all, is a parameter worth more in another
head or in the feed-forward network? The variant with the most heads has the base's feed-forward
width; the others get a wider one, so that all have as many parameters, to half a percent.
Source: the control that "more heads" lacks in head_sizes.py; the sizes of heads, widths and
feed-forward networks are traded so in Vaswani et al. 2017, table 3, and Bhojanapalli et al. 2020.
Command: python experiments/matched_parameters.py [--smoke | --full] [--help]
"""

from collections.abc import Sequence
from dataclasses import replace

from attention_jax.comparison.command import SMALL, Size, main
from attention_jax.experiment import Experiment
from attention_jax.models.sizes import all_matched

BASE = replace(SMALL, model=replace(SMALL.model, head_size=16))

SIZES = {
    "default": Size(800, values=(1, 2, 4, 8)),
    "full": Size(2_000, values=(1, 2, 4, 8)),
    "smoke": Size(8, values=(1, 2), seeds=1),
}


def variants(base: Experiment, heads: Sequence[int]) -> list[Experiment]:
    """The head size stays; where there are fewer heads, the feed-forward network is wider."""
    models = [replace(base.model, heads=count) for count in heads]
    return [replace(base, model=model) for model in all_matched(models)]


if __name__ == "__main__":
    main(
        variants,
        BASE,
        SIZES,
        option="heads",
        title="Heads or a wider feed-forward network?",
        sentence="The ball is blue",
        folder="runs/matched_parameters",
    )
