"""ROUGE: how much of a summary's words, word pairs and order is that of its reference.

Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", sections 2 (ROUGE-N) and
3.1 (ROUGE-L); F is taken with as much of precision as of recall, and averaged over summaries.
"""

import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"\w+")


def rouge(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """The mean F of ROUGE-1, ROUGE-2 and ROUGE-L, from 0 to 100.

    Words are runs of letters and digits, in lower case; nothing is stemmed and nothing left out.

    Args:
      hypotheses: summaries.
      references: what they should have been, in the same order.

    Returns:
      "rouge_1", "rouge_2" and "rouge_l". A pair of texts of which neither has any words (word
      pairs, for ROUGE-2) agrees wholly.

    Raises:
      ValueError: the lists are empty or not of one length.
    """
    for name, texts in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(texts, str):
            raise ValueError(f"{name} is one string; a list of strings would fit")
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(
            f"{len(hypotheses)} hypotheses and {len(references)} references; "
            "as many of one as of the other, and at least one, would fit"
        )
    pairs = [(words(one), words(other)) for one, other in zip(hypotheses, references, strict=True)]
    means = {
        "rouge_1": (overlap(*pair, 1) for pair in pairs),
        "rouge_2": (overlap(*pair, 2) for pair in pairs),
        "rouge_l": (in_order(*pair) for pair in pairs),
    }
    return {name: 100 * sum(found) / len(pairs) for name, found in means.items()}


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def overlap(hypothesis: Sequence[str], reference: Sequence[str], n: int) -> float:
    """F of the n-grams that two texts share, each as often as both have it (Lin 2004, eq. 1).

    Raises:
      ValueError: n is below 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}; at least 1 would fit")
    one, other = (
        Counter(tuple(text[at : at + n]) for at in range(len(text) - n + 1))
        for text in (hypothesis, reference)
    )
    return _f((one & other).total(), one.total(), other.total())


def in_order(hypothesis: Sequence[str], reference: Sequence[str]) -> float:
    """F of the longest common subsequence: words in order, with gaps (Lin 2004, eqs. 2 to 4)."""
    row = [0] * (len(reference) + 1)  # row[j]: of what was read and the first j reference words
    for word in hypothesis:
        corner = 0
        for at, other in enumerate(reference, start=1):
            longest = corner + 1 if word == other else max(row[at], row[at - 1])
            corner, row[at] = row[at], longest
    return _f(row[-1], len(hypothesis), len(reference))


def _f(common: int, found: int, wanted: int) -> float:
    """2·P·R / (P + R) of common / found and common / wanted."""
    return 2 * common / (found + wanted) if found + wanted else 1.0
