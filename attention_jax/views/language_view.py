"""What a language model looks at while it reads a text."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attention_jax.data.tokens import START
from attention_jax.decoding.sampling import continued
from attention_jax.tasks.language import read_model
from attention_jax.tasks.run import Loaded
from attention_jax.views.gather import attention_of, look
from attention_jax.views.readings import Reading

SHOWN = 48
"""tokens that are shown where the model writes the text itself"""


def readings(loaded: Loaded, words: Sequence[str]) -> list[Reading]:
    """A text as the model reads it; after each token stands what it holds likeliest to come next.

    Args:
      loaded: a language model.
      words: the text; without any the model writes one.

    Raises:
      ValueError: the text has what is not in the vocabulary, or more tokens than the context.
    """
    task, codec, model = read_model(loaded.folder)
    context, text = model.config.context, " ".join(words)
    if not words:
        settings = {"seed": task.seed, "config": task.sampling}
        (text,) = continued(model, codec, [""], min(SHOWN, context - 1), **settings)
    ids = [START, *codec.encode(text)]
    if len(ids) > context:
        raise ValueError(f"the text has {len(ids) - 1} tokens; at most {context - 1} would fit")
    tokens = np.array([ids], np.int32)
    graph, params = nnx.split(model, nnx.Param)

    @jax.jit
    def read(params, tokens):
        model, nothing = nnx.merge(graph, params), jnp.zeros((1, 0), jnp.int32)
        logits: Any = model(nothing, tokens)
        return look(partial(model, nothing, tokens)), logits.argmax(-1)[0]

    seen, likeliest = jax.device_get(read(params, tokens))
    names = codec.tokens(ids)
    decoder = attention_of("decoder", seen, names, names, chosen=codec.tokens(likeliest.tolist()))
    return [Reading((decoder,), model=task.name, input=text)]
