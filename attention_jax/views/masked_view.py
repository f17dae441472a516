"""What a masked-word model looks at, and what it holds likeliest where a text is hidden."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx

from attention_jax.data.marked import MASK, Marked, Side, marked, marked_length, mask_of, names
from attention_jax.data.tokens import Tokenizer
from attention_jax.tasks.run import Loaded
from attention_jax.training.step import split
from attention_jax.views.gather import attention_of, look
from attention_jax.views.readings import Attention, Reading

EXAMPLE = f"The boy {MASK} the ball"
GUESSES = 3
"""words that are told for each mask"""


def readings(loaded: Loaded, words: Sequence[str]) -> list[Reading]:
    """A text with masks as the model reads it, and its guesses; it needs no mask.

    Args:
      loaded: a masked-word model.
      words: the text, in which [MASK] hides a token; of two languages perhaps with | before the
        translation. None for an example.

    Raises:
      ValueError: the text is empty or too long for the model, or there are two and the model has
        read no pairs.
    """
    tokenizer = Tokenizer.load(loaded.folder / "tokenizer.json")
    text = " ".join(words) or EXAMPLE
    sides = [_encoded(tokenizer, side) for side in text.split("|")]
    if len(sides) > 1 + (loaded.task.data.other is not None):
        raise ValueError(f"found {len(sides)} texts; one would fit, as the model reads no pairs")
    row = [Side(side, kind) for kind, side in enumerate(sides)]
    read = marked([row], _length(loaded, row))
    tokens = read.tokens
    places = np.flatnonzero(tokens[0] == mask_of(tokenizer))
    every = np.arange(tokens.shape[1], dtype=np.int32)[None]
    shares = likely(loaded.model, read, every)[0]
    shown = names(tokenizer, tokens[0])
    guesses = []
    for place in places:
        best = np.argsort(-shares[place])[:GUESSES]
        guess = (f"{names(tokenizer, [token])[0]} {shares[place, token]:.2f}" for token in best)
        guesses.append(", ".join(guess))
    chosen = names(tokenizer, shares.argmax(-1))
    attention = looked(loaded.model, read, shown, chosen=chosen)
    return [Reading((attention,), model=loaded.task.name, input=text, output=" | ".join(guesses))]


def likely(model: Any, rows: Marked, places: np.ndarray) -> np.ndarray:
    """The probability of every token at some places of each row, [B, M, V]."""
    graph, params = split(model)
    inputs = rows.tokens, rows.types if model.config.types else None, places

    @jax.jit
    def told(params):
        model = nnx.merge(graph, params)
        return jax.nn.softmax(model(*inputs, positions=rows.positions))

    return np.asarray(told(params))


def looked(model: Any, rows: Marked, shown: Sequence[str], **more: Any) -> Attention:
    """The attentions of a model's encoder to a row, `shown` its tokens for a reader."""
    graph, params = split(model.encoder)
    inputs = rows.tokens, rows.types if model.config.types else None

    @jax.jit
    def seen(params):
        return look(partial(nnx.merge(graph, params), *inputs, positions=rows.positions))

    return attention_of("encoder", jax.device_get(seen(params)), shown, shown, **more)


def _encoded(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text with masks."""
    ids: list[int] = []
    for number, part in enumerate(text.split(MASK)):
        ids += [mask_of(tokenizer)] * (number > 0)
        ids += tokenizer.encode(part.strip()) if part.strip() else []
    if not ids:
        raise ValueError(f"a text is empty; words, with {MASK} for those hidden, would fit")
    return ids


def _length(loaded: Loaded, row: Sequence[Side]) -> int:
    """How many tokens the text has with its marks; as many rows of weights are shown."""
    needed, fits = marked_length(row), loaded.task.model.context
    if needed > fits:
        raise ValueError(f"the text has {needed} tokens, marks included; at most {fits} would fit")
    return needed
