"""How much of an answer is right, symbol by symbol: it tells where none is right as a whole."""

from attention_jax.analysis.by_length import Lines


def symbol_accuracy(lines: Lines) -> float:
    """The share of symbols that stand where they should, from 0 to 1.

    A symbol is a word of the text. Each answer counts with its own length or that of its reference,
    whichever is longer, so that what is missing or too much is wrong.

    Args:
      lines: references and what a run made of their sources.

    Raises:
      ValueError: there are no lines, or no symbols in them.
    """
    right = count = 0
    for reference, found in zip(lines.references, lines.translations, strict=True):
        wanted, given = reference.split(), found.split()
        right += sum(one == other for one, other in zip(wanted, given, strict=False))
        count += max(len(wanted), len(given))
    if not count:
        raise ValueError(
            f"found no symbols in {len(lines.references)} lines; one or more would fit"
        )
    return right / count


def exact(lines: Lines) -> float:
    """The share of answers that are right as a whole, from 0 to 1.

    Raises:
      ValueError: there are no lines.
    """
    if not lines.references:
        raise ValueError("found no lines; one or more would fit")
    pairs = zip(lines.references, lines.translations, strict=True)
    return sum(wanted == found for wanted, found in pairs) / len(lines.references)
