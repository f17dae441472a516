"""What a tagger looks at, and the tag of each word."""

from collections.abc import Sequence

import jax
import numpy as np
from flax import nnx

from attention_jax.data.marked import Side, marked, marked_length, names
from attention_jax.data.tagged_text import firsts, in_pieces, read_tagged_text
from attention_jax.data.tokens import Tokenizer
from attention_jax.tasks.run import Loaded
from attention_jax.training.step import split
from attention_jax.views.masked_view import looked
from attention_jax.views.readings import Reading
from attention_jax.views.tables import Table, markdown_table


def readings(loaded: Loaded, words: Sequence[str]) -> list[Reading]:
    """A sentence as the model reads it; below each word's first token stands its tag.

    Args:
      loaded: a tagger.
      words: the sentence, its punctuation apart; none for the first test sentence.

    Raises:
      ValueError: the sentence is too long for the model.
    """
    tokenizer = Tokenizer.load(loaded.folder / "tokenizer.json")
    text = read_tagged_text(loaded.task.data, tokenizer)
    example = text.texts["test" if "test" in text.texts else "validation"][0].words
    said = " ".join(words).split() or list(example)
    pieces = in_pieces(tokenizer, said)
    row = [Side([token for word in pieces for token in word])]
    needed, fits = marked_length(row), loaded.task.model.context
    if needed > fits:
        raise ValueError(f"the text has {needed} tokens, marks included; at most {fits} would fit")
    read = marked([row], needed)
    tokens = read.tokens
    graph, params = split(loaded.model)
    best = np.asarray(
        jax.jit(lambda params: nnx.merge(graph, params)(tokens)[0].argmax(-1))(params)
    )
    tags = [text.tags[tag] for tag in best[firsts(pieces)]]
    below = [""] * needed
    for place, tag in zip(firsts(pieces), tags, strict=True):
        below[place] = tag
    attention = looked(loaded.model, read, names(tokenizer, tokens[0]), chosen=below)
    told = " ".join(f"{word}/{tag}" for word, tag in zip(said, tags, strict=True))
    return [Reading((attention,), model=loaded.task.name, input=" ".join(said), output=told)]


def tag_table(reading: Reading) -> str:
    """A Markdown table of a reading's words and their tags."""
    pairs = [one.rpartition("/")[::2] for one in reading.output.split()]
    return markdown_table(Table("tags", ("word", "tag"), pairs))
