"""How many heads of keys and values?

Question: 8 heads of queries share 8, 4, 2 or 1 heads of keys and values. What do the smaller cache
and the faster decoding cost, at equal parameters? What keys and values save, the feed-forward
network gets.
Source: Shazeer 2019, "Fast Transformer Decoding" (1, multi-query; it widens the feed-forward
network likewise); Ainslie et al. 2023, "GQA" (grouped-query).
Command: python experiments/key_value_heads.py [--smoke | --full] [--help]
"""

from collections.abc import Sequence
from dataclasses import replace

from attention_jax.comparison.command import SMALL, Size, main
from attention_jax.experiment import Experiment
from attention_jax.models.sizes import all_matched

BASE = replace(SMALL, model=replace(SMALL.model, heads=8))

SIZES = {
    "default": Size(800, values=(8, 4, 2, 1)),
    "full": Size(2_000, values=(8, 4, 2, 1)),
    "smoke": Size(8, values=(8, 1), seeds=1),
}


def variants(base: Experiment, key_value_heads: Sequence[int]) -> list[Experiment]:
    """The fewer heads of keys and values, the wider the feed-forward network."""
    models = [replace(base.model, key_value_heads=count) for count in key_value_heads]
    return [replace(base, model=model) for model in all_matched(models)]


if __name__ == "__main__":
    main(
        variants,
        BASE,
        SIZES,
        option="key_value_heads",
        title="How many heads of keys and values?",
        sentence="The ball is blue",
        folder="runs/key_value_heads",
    )
