"""Numbers for texts: perplexity, BLEU, chrF and exact matches."""

import math
from collections.abc import Sequence
from typing import Any


def perplexity(nll_sum: float, tokens: float) -> float:
    """exp(negative log-likelihood in nats per token); infinite where that overflows.

    Args:
      nll_sum: the sum over all target tokens of -log P(token), without label smoothing.
      tokens: how many tokens were summed.

    Raises:
      ValueError: no tokens.
    """
    if not tokens > 0:
        raise ValueError(f"perplexity over {tokens} tokens; at least one is needed")
    try:
        return math.exp(float(nll_sum) / float(tokens))
    except OverflowError:
        return math.inf


def bleu(
    hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str = "13a"
) -> dict[str, Any]:
    """Corpus BLEU of plain text, one reference each, by sacreBLEU.

    Args:
      hypotheses: translations, detokenized.
      references: what they should have been, detokenized, in the same order.
      tokenize: how sacreBLEU splits text: "13a", "intl", "none", "char", "zh", "flores200" and
        others it knows (some of which fetch a model or need another package).

    Returns:
      "score" from 0 to 100, "precisions" of 1- to 4-grams in percent, "brevity_penalty",
      "hypothesis_length" and "reference_length" in tokens, and "signature", which names every
      choice and sacreBLEU's version.

    Raises:
      ValueError: the lists are empty or not of one length; an unknown `tokenize`.

    Source: Papineni et al. 2002; Post 2018 (signatures).
    """
    _check_pairs(hypotheses, references)
    from sacrebleu.metrics.bleu import BLEU

    if tokenize not in BLEU.TOKENIZERS:
        raise ValueError(f"tokenize is {tokenize!r}; one of {', '.join(BLEU.TOKENIZERS)} would fit")
    # force: text that is tokenised already is no mistake here, and needs no warning.
    metric = BLEU(tokenize=tokenize, force=True)
    result = metric.corpus_score(hypotheses, [references])
    return {
        "score": float(result.score),
        "precisions": [float(precision) for precision in result.precisions],
        "brevity_penalty": float(result.bp),
        "hypothesis_length": int(result.sys_len),
        "reference_length": int(result.ref_len),
        "signature": metric.get_signature().format(short=False),
    }


def chrf(
    hypotheses: Sequence[str], references: Sequence[str], *, word_order: int = 0
) -> dict[str, Any]:
    """Corpus chrF of plain text, one reference each, by sacreBLEU.

    Args:
      hypotheses: translations, detokenized.
      references: what they should have been, in the same order.
      word_order: longest word n-grams that count too; 0 is chrF, 2 is chrF++.

    Returns:
      "score" from 0 to 100, and "signature", which names every choice and sacreBLEU's version.

    Raises:
      ValueError: the lists are empty or not of one length; a negative `word_order`.

    Source: Popović 2015; 2017 (chrF++).
    """
    _check_pairs(hypotheses, references)
    if word_order < 0:
        raise ValueError(f"word_order is {word_order}; 0 for chrF or 2 for chrF++ would fit")
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF(word_order=word_order)
    result = metric.corpus_score(hypotheses, [references])
    return {"score": float(result.score), "signature": metric.get_signature().format(short=False)}


def exact_match(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """The share, from 0 to 1, of hypotheses that equal their reference but for space at the ends.

    Raises:
      ValueError: the lists are empty or not of one length.
    """
    _check_pairs(hypotheses, references)
    pairs = zip(hypotheses, references, strict=True)
    equal = sum(hypothesis.strip() == reference.strip() for hypothesis, reference in pairs)
    return equal / len(hypotheses)


def _check_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    for name, texts in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(texts, str):
            raise ValueError(f"{name} is one string; a list of strings would fit")
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(
            f"{len(hypotheses)} hypotheses and {len(references)} references; "
            "as many of one as of the other, and at least one, would fit"
        )
