"""What single words tell: the yardsticks for sentences with labels and for words with tags.

Naive Bayes adds up what each word says of a sentence's label, whatever their order. A word's tag is
told from the word itself, as it was tagged most often, or from the two words beside it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import log

from attention_jax.data.entities import Tagged
from attention_jax.data.pair import Pair


def naive_bayes(train: Sequence[Pair], held_out: Sequence[Pair]) -> float:
    """The share of held-out sentences whose label their words tell, with one pseudo-count a word.

    Args:
      train: pairs of a sentence and its label.
      held_out: likewise.

    Source: Manning, Raghavan and Schütze 2008, "Introduction to Information Retrieval", section
    13.2.
    """
    words: dict[str, Counter[str]] = defaultdict(Counter)
    labels = Counter(pair.target for pair in train)
    for pair in train:
        words[pair.target].update(pair.source.split())
    known = {word for counts in words.values() for word in counts}
    totals = {label: sum(words[label].values()) + len(known) for label in labels}

    def fit(label: str, text: str) -> float:
        found = (word for word in text.split() if word in known)
        likely = sum(log((words[label][word] + 1) / totals[label]) for word in found)
        return log(labels[label]) + likely

    right = sum(
        max(labels, key=lambda label: fit(label, pair.source)) == pair.target for pair in held_out
    )
    return right / len(held_out)


def most_frequent(train: Sequence[Pair], held_out: Sequence[Pair]) -> float:
    """The share of held-out sentences that have training's most frequent label."""
    label = Counter(pair.target for pair in train).most_common(1)[0][0]
    return sum(pair.target == label for pair in held_out) / len(held_out)


def tags_by_word(train: Iterable[Tagged], held_out: Iterable[Tagged]) -> list[tuple[str, ...]]:
    """The tag that each word had most often in training; O for a word that was not there."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in train:
        for word, tag in zip(*sentence, strict=True):
            counts[word][tag] += 1
    best = {word: count.most_common(1)[0][0] for word, count in counts.items()}
    return [tuple(best.get(word, "O") for word in sentence.words) for sentence in held_out]


def tags_by_neighbours(
    train: Iterable[Tagged], held_out: Iterable[Tagged]
) -> list[tuple[str, ...]]:
    """The tag that was most frequent between the same two words, or else behind the left one.

    A word that was seldom in training, a name most often, counts as the same as any other such.
    """
    train = list(train)
    words = Counter(word for sentence in train for word in sentence.words)
    frequent = {word for word, count in words.items() if count > 30}

    def contexts(sentence: Tagged):
        found = [word if word in frequent else "?" for word in sentence.words]
        for left, word, right in zip(["<", *found], found, [*found[1:], ">"], strict=False):
            yield (left, word, right), (left, word), (word,)

    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for sentence in train:
        for keys, tag in zip(contexts(sentence), sentence.tags, strict=True):
            for key in keys:
                counts[key][tag] += 1

    def best(keys) -> str:
        for key in keys:
            if key in counts:
                return counts[key].most_common(1)[0][0]
        return "O"

    return [tuple(map(best, contexts(sentence))) for sentence in held_out]
