"""What a sentence classifier looks at, and how sure it is of each class."""

from collections.abc import Sequence

import jax
import numpy as np
from flax import nnx

from attention_jax.data.labelled_text import read_labelled_text
from attention_jax.data.marked import Marked, Side, marked, marked_length, names
from attention_jax.data.tokens import Tokenizer
from attention_jax.tasks.run import Loaded
from attention_jax.training.step import split
from attention_jax.views.masked_view import looked
from attention_jax.views.readings import Reading
from attention_jax.views.tables import Table, Text, markdown_table


def readings(loaded: Loaded, words: Sequence[str]) -> list[Reading]:
    """A sentence as the model reads it; what comes out is each class and its probability.

    Args:
      loaded: a sentence classifier.
      words: the sentence; none for the first test sentence.

    Raises:
      ValueError: the sentence is too long for the model.
    """
    tokenizer = Tokenizer.load(loaded.folder / "tokenizer.json")
    text = " ".join(words) or _example(loaded)
    labels, shares = classes(loaded, [text])
    order = np.argsort(-shares[0])
    told = ", ".join(f"{labels[place]} {shares[0, place]:.2f}" for place in order)
    read = _rows(loaded, tokenizer, [text])
    attention = looked(loaded.model, read, names(tokenizer, read.tokens[0]))
    return [Reading((attention,), model=loaded.task.name, input=text, output=told)]


def classes(loaded: Loaded, texts: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """The labels, and the probability of each for each text, [B, V].

    Raises:
      ValueError: a text is too long for the model.
    """
    tokenizer = Tokenizer.load(loaded.folder / "tokenizer.json")
    graph, params = split(loaded.model)
    tokens = _rows(loaded, tokenizer, texts).tokens
    told = jax.jit(lambda params: jax.nn.softmax(nnx.merge(graph, params)(tokens)))
    return read_labelled_text(loaded.task.data, tokenizer).labels, np.asarray(told(params))


def class_table(loaded: Loaded, texts: Sequence[str]) -> str:
    """A Markdown table: a row a text, a column a class, the likeliest said so."""
    labels, shares = classes(loaded, texts)
    rows = [
        (
            text,
            *(Text(f"{share:.2f}", tag="likeliest" if share == row.max() else "") for share in row),
        )
        for text, row in zip(texts, shares, strict=True)
    ]
    return markdown_table(Table("classes", ("sentence", *labels), rows))


def _rows(loaded: Loaded, tokenizer: Tokenizer, texts: Sequence[str]) -> Marked:
    sides = [[Side(ids)] for ids in tokenizer.encode_all(texts)]
    needed, fits = max(map(marked_length, sides)), loaded.task.model.context
    if needed > fits:
        raise ValueError(f"a text has {needed} tokens, marks included; at most {fits} would fit")
    return marked(sides, needed)


def _example(loaded: Loaded) -> str:
    tokenizer = Tokenizer.load(loaded.folder / "tokenizer.json")
    texts = read_labelled_text(loaded.task.data, tokenizer).texts
    return texts["test" if "test" in texts else "validation"][0].source
