"""Sources that begin with words which say what to do, so that one model can do several things.

    translate to es: The dog sleeps .    →    El perro duerme .
    translate to en: El perro duerme .   →    The dog sleeps .

Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
Transformer", section 2.4.
"""

from collections.abc import Iterator, Sequence

from attention_jax.data.lines import DataError
from attention_jax.data.pair import Pair
from attention_jax.data.text import Splits

PLACE = "{target}"
"""stands for the language to translate into"""


def prompted(splits: Splits, prompt: str, languages: tuple[str, str], *, both: bool) -> Splits:
    """Every split with the prompt, a word or more, in front of each source.

    Args:
      splits: pairs by split.
      prompt: what to put there; `PLACE` in it becomes the name of the target's language.
      languages: of sources and of targets.
      both: each pair also stands there the other way round, right behind.

    Raises:
      DataError: both ways are wanted, and nothing in the prompt tells them apart.
    """
    if both and PLACE not in prompt:
        raise DataError(
            f"both_ways needs a prompt that says which; it is {prompt!r}, and one with {PLACE}, "
            f"such as 'translate to {PLACE}:', would fit."
        )
    words = [prompt.replace(PLACE, language).strip() for language in languages[::-1]]

    def every(pairs: Sequence[Pair]) -> Iterator[Pair]:
        for pair in pairs:
            yield _in_front(words[0], pair)
            if both:
                yield _in_front(words[1], _turned(pair))

    return {split: list(every(pairs)) for split, pairs in splits.items()}


def _in_front(words: str, pair: Pair) -> Pair:
    count = len(words.split())
    links = tuple((source + count, target) for source, target in pair.alignment)
    return Pair(f"{words} {pair.source}", pair.target, links)


def _turned(pair: Pair) -> Pair:
    return Pair(pair.target, pair.source, tuple(sorted((b, a) for a, b in pair.alignment)))
