"""Embeddings that start from word vectors instead of chance."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from attention_jax.training.step import Params, State
from attention_jax.training.word_vectors import WordVectors, read_word_vectors

TABLES = ("source_embedding", "target_embedding", "embedding")
"""names of models' embeddings; those that a model has are started"""


def start_embeddings(params: Params, found: WordVectors, tokens: Sequence[str]) -> Params:
    """Parameters whose embeddings hold word vectors; tokens without a vector keep their rows.

    The vectors come without what all of them share, their mean, and with the variance of the rows
    that they replace, so that the layers behind the table see what they are made for.

    Args:
      params: fresh ones, on the host.
      found: vectors by token.
      tokens: the names of the model's tokens, by number.

    Raises:
      ValueError: no embedding is there, its width is another, or no token has a vector; the message
        says what was found.
    """
    place = {token: row for row, token in enumerate(found.tokens)}
    rows = [row for row, token in enumerate(tokens) if token in place]
    taken = found.vectors[[place[tokens[row]] for row in rows]]
    if len(rows) < 2 or not taken.std(0).any():
        raise ValueError(
            f"{len(rows)} of the model's {len(tokens)} tokens have word vectors, such as "
            f"{', '.join(map(repr, found.tokens[:3]))}; vectors learned with the run's own "
            "tokenizer would fit"
        )
    names = [name for name in TABLES if name in params]
    if not names:
        raise ValueError(f"the model has none of {', '.join(TABLES)}, but {', '.join(params)}")
    return params | {name: _started(name, params[name], taken, rows, len(tokens)) for name in names}


def starting(path: str | Path, tokens: Sequence[str]) -> Callable[[State], State]:
    """`start_embeddings` of a training state, from a file, which is read at once.

    Args:
      path: what `save_word_vectors` wrote.
      tokens: the names of the model's tokens, by number; see `Tokenizer.names`.

    Raises:
      ValueError: the file holds no word vectors, or is damaged.
      OSError: it cannot be read.
    """
    found = read_word_vectors(path)

    def begin(state: State) -> State:
        try:
            return state._replace(params=start_embeddings(state.params, found, tokens))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    return begin


def _started(
    name: str, module: Mapping[str, np.ndarray], taken: np.ndarray, rows: list[int], tokens: int
) -> dict[str, np.ndarray]:
    table = np.array(module["table"])
    if table.shape != (tokens, taken.shape[1]):
        raise ValueError(
            f"{name} is a table of {list(table.shape)}, and there are {tokens} tokens with vectors "
            f"of width {taken.shape[1]}; equal widths would fit"
        )
    old, new = table[rows].astype(np.float32), taken.astype(np.float32)
    new = new - new.mean(0)
    table[rows] = (new * (old.std() / new.std())).astype(table.dtype)
    return {**module, "table": table}
