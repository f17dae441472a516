"""A comparison of two head counts on the smallest corpus, and how it is planned."""

from dataclasses import replace

from attention_jax.comparison.plan import Size, planned
from tests.tiny_run import tiny

SENTENCE = "the red cat"
SIZES = {"default": Size(6, values=(1, 2), seeds=1), "smoke": Size(2, values=(2,), seeds=1)}


def variants(base, heads):
    return [replace(base, model=replace(base.model, heads=count)) for count in heads]


def plan(corpus, *words, option="heads", sizes=SIZES, build=variants):
    words = list(map(str, words))
    return planned(build, tiny(corpus), sizes, words, program="x", option=option, sentence=SENTENCE)
