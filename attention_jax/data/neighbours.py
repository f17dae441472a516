"""What counting alone can tell of a hidden word: from its left neighbour, its right one, and both.

The yardstick for masked words. From one side it is a bigram model. From both it is what the first-
order Markov chain with those bigrams says exactly, p(w | l, r) ∝ p(w | l) · p(r | w); where the two
neighbours have stood around a word in training, counts of all three go in front of it.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int


class Neighbours:
    """Counts of neighbouring tokens, smoothed by how frequent each is by itself."""

    def __init__(self, rows: Iterable[Int[np.ndarray, " S"]], vocabulary: int):
        """Counts the rows, marks at their ends included; `vocabulary` is V."""
        rows = list(rows)
        self.alone = np.bincount(np.concatenate([row[1:-1] for row in rows]), minlength=vocabulary)
        self.alone = (self.alone + 0.01) / (self.alone + 0.01).sum()
        self._after, self._before = _Counts(), _Counts()
        self._between = _Counts()
        for row in rows:
            found = row.tolist()
            for left, right in zip(found, found[1:], strict=False):
                self._after.add(left, right)
                self._before.add(right, left)
            for left, word, right in zip(found, found[1:], found[2:], strict=False):
                self._between.add((left, right), word)

    def shares(self, left: int, right: int, weight: float) -> dict[str, Float[np.ndarray, " V"]]:
        """P(w) as each way has it: by itself, from either side, as the chain, from both at once.

        Args:
          left: the token before the word.
          right: the token behind it.
          weight: pseudo-counts. A side's are spread as words are by themselves, those of both at
            once as the chain has it.
        """
        after = self._after.share(left, self.alone, weight)
        before = self._before.share(right, self.alone, weight)
        chain = after * before / self.alone  # p(w | l) · p(r | w) up to a factor, by Bayes' rule
        chain /= chain.sum()
        both = self._between.share((left, right), chain, weight)
        return {"most_frequent": self.alone, "left": after, "right": before} | {
            "chain": chain,
            "both": both,
        }

    def accuracy(
        self, hidden: Iterable[tuple[int, int, int]], weight: float = 1.0
    ) -> dict[str, float]:
        """The share of words that each way tells right.

        Args:
          hidden: (left neighbour, word, right neighbour) of each.
          weight: pseudo-counts; see `shares`.

        Raises:
          ValueError: there is no word, or `weight` is not above 0.
        """
        hidden = list(hidden)
        if not hidden or not weight > 0:
            raise ValueError(
                f"found {len(hidden)} words and weight {weight}; at least one, and a number above "
                "0, would fit"
            )
        right: dict[str, int] = {}
        for before, word, after in hidden:
            for way, shares in self.shares(before, after, weight).items():
                right[way] = right.get(way, 0) + (int(shares.argmax()) == word)
        return {way: count / len(hidden) for way, count in right.items()}


class _Counts:
    """How often each token stood in each context."""

    def __init__(self):
        self._found: dict = {}

    def add(self, context, token: int) -> None:
        tokens = self._found.setdefault(context, {})
        tokens[token] = tokens.get(token, 0) + 1

    def share(self, context, prior: np.ndarray, weight: float) -> np.ndarray:
        tokens = self._found.get(context, {})
        found = weight * prior
        found[list(tokens)] += np.fromiter(tokens.values(), float, len(tokens))
        return found / (weight + sum(tokens.values()))
