"""How good a model is on held-out text: its loss, and its translations against the references."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import jax

from attention_jax.data import Batch
from attention_jax.decoding import DecodingConfig, Translator
from attention_jax.training.chosen import Which
from attention_jax.training.log import finite, replace_file
from attention_jax.training.metrics import bleu, chrf, exact_match, perplexity
from attention_jax.training.prepared import Prepared
from attention_jax.training.programs import Programs
from attention_jax.training.rouge import rouge


@dataclass(frozen=True)
class ScoringConfig:
    """What is scored, and how."""

    which: Which = "best"
    """the parameters: best by validation loss, the last, or the mean of the last checkpoints"""
    tokenize: Literal["13a", "none", "zh", "char", "intl"] | None = None
    """of BLEU: "none" for text that is tokenised already; None: zh for Chinese targets, else 13a"""
    rouge: bool = False
    """ROUGE-1, -2 and -L too, by which summaries are judged"""

    def tokenizer_for(self, language: str) -> str:
        """The name of sacreBLEU's tokenizer for a target language."""
        return self.tokenize or ("zh" if language.startswith(("zh", "cmn")) else "13a")


@dataclass(frozen=True)
class Scored:
    """One held-out split.

    Attributes:
      scores: "loss" in nats a token, "perplexity", "exact_match" from 0 to 1, "bleu" and "chrf"
        with their signatures, ROUGE where it was asked for, "pairs", "dropped" (too long for the
        loss), "translate_seconds", and "written", the tokens of the translations, end marks
        included.
      translations: one a pair, in order.
    """

    scores: dict[str, Any]
    translations: list[str]


def score(
    programs: Programs,
    params: Any,
    prepared: Prepared,
    decoding: DecodingConfig,
    scoring: ScoringConfig,
    held_out: Mapping[str, Sequence[Batch]],
) -> dict[str, Scored]:
    """Loss and translation scores, by split.

    Args:
      programs: of the model.
      params: its parameters.
      prepared: where the text of the splits comes from.
      decoding: how to translate; lines that are too long are cut.
      scoring: how to score.
      held_out: batches of the splits to score, of one shape.
    """
    params = jax.device_put(params)
    decoding = replace(decoding, too_long="truncate")
    longest, tokenizer = prepared.data.max_length, prepared.tokenizer
    translator = Translator(programs.graph, params, tokenizer, decoding, longest)
    found = {}
    for split, batches in held_out.items():
        pairs = prepared.corpus.splits[split]
        loss = programs.loss(params, batches)
        sources = [pair.source for pair in pairs]
        translator.prepare(sources)  # so that no split is timed with compiling
        began = time.perf_counter()
        translations = translator.translate(sources)
        seconds = time.perf_counter() - began
        wanted = [pair.target for pair in pairs]
        tokenize = scoring.tokenizer_for(prepared.data.target)
        scores = {
            "loss": finite(loss),
            "perplexity": finite(perplexity(loss, 1)),
            "exact_match": exact_match(translations, wanted),
            "bleu": bleu(translations, wanted, tokenize=tokenize),
            "chrf": chrf(translations, wanted),
            **(rouge(translations, wanted) if scoring.rouge else {}),
            "pairs": len(pairs),
            "dropped": prepared.examples(split).dropped,
            "translate_seconds": seconds,
            "written": sum(len(ids) + 1 for ids in tokenizer.encode_all(translations)),
        }
        found[split] = Scored(scores, translations)
    return found


def write_translations(path: Path, prepared: Prepared, scored: Mapping[str, Scored]) -> None:
    """Writes one JSON object a line: split, source, reference and translation."""
    lines = [
        json.dumps(
            {
                "split": split,
                "source": pair.source,
                "reference": pair.target,
                "translation": translation,
            },
            ensure_ascii=False,
        )
        for split, found in scored.items()
        for pair, translation in zip(prepared.corpus.splits[split], found.translations, strict=True)
    ]
    replace_file(path, ("\n".join(lines) + "\n").encode())
