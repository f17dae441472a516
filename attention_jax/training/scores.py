"""How good a model is on held-out text: its loss, and its translations against the references."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax

from attention_jax.data import Batch
from attention_jax.decoding import DecodingConfig, Translator
from attention_jax.training.log import finite
from attention_jax.training.metrics import bleu, chrf, exact_match, perplexity
from attention_jax.training.prepared import Prepared
from attention_jax.training.programs import Programs


def score(
    programs: Programs,
    params: Any,
    prepared: Prepared,
    decoding: DecodingConfig,
    held_out: Mapping[str, Sequence[Batch]],
) -> dict[str, dict[str, Any]]:
    """Loss and translation scores, by split.

    Args:
      programs: of the model.
      params: its parameters.
      prepared: where the text of the splits comes from.
      decoding: how to translate; lines that are too long are cut.
      held_out: batches of the splits to score, of one shape.

    Returns:
      For each split: "loss" in nats a token, "perplexity", "exact_match" from 0 to 1, "bleu" and
      "chrf" with their signatures, "pairs", "dropped" (too long for the loss), "translate_seconds".
    """
    params = jax.device_put(params)
    decoding = replace(decoding, too_long="truncate")
    longest, tokenizer = prepared.data.max_length, prepared.tokenizer
    translate = Translator(programs.graph, params, tokenizer, decoding, longest).translate
    tokenize = "zh" if prepared.data.target.startswith("zh") else "13a"
    scores = {}
    # Compiles, so that no split is timed with it.
    translate([prepared.corpus.splits["train"][0].source])
    for split, batches in held_out.items():
        pairs = prepared.corpus.splits[split]
        loss = programs.loss(params, batches)
        began = time.perf_counter()
        found = translate([pair.source for pair in pairs])
        seconds = time.perf_counter() - began
        wanted = [pair.target for pair in pairs]
        scores[split] = {
            "loss": finite(loss),
            "perplexity": finite(perplexity(loss, 1)),
            "exact_match": exact_match(found, wanted),
            "bleu": bleu(found, wanted, tokenize=tokenize),
            "chrf": chrf(found, wanted),
            "pairs": len(pairs),
            "dropped": prepared.examples(split).dropped,
            "translate_seconds": seconds,
        }
    return scores
