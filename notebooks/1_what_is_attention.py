# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1 · What is attention?
#
# Attention lets every word of a sentence fetch what it needs from the other words. Here it is done
# by hand on four words, *The ball is blue*, with every number on the way in sight. Then the same
# with `attention_jax`, and the three places where a Transformer uses it.
#
# *About 15 seconds on two cores. Run the cells from top to bottom with Shift+Enter; then change a
# number and run them again.*

# %%
import jax
import jax.numpy as jnp
from flax import nnx

import attention_jax as aj

# %% [markdown]
# ## Words as rows of numbers
#
# A model knows a word as a row of features. In a trained model nobody can name them; here we can,
# because we write them down ourselves. A row a word, a column a feature.

# %%
words = ["The", "ball", "is", "blue"]
features = ["article", "thing", "verb", "property", "round", "blue"]
x = jnp.array(
    [
        [1.0, 0, 0, 0, 0, 0],  # The
        [0, 1.0, 0, 0, 1.0, 0],  # ball: a thing, and round
        [0, 0, 1.0, 0, 0, 0],  # is
        [0, 0, 0, 1.0, 0, 1.0],  # blue: a property, namely blue
    ]
)
aj.plots.heat_map(x, words, features, query_label="word", source_label="feature")

# %% [markdown]
# ## The dot product measures likeness
#
# Multiply two rows feature by feature and add up. What both have counts; what only one has does
# not. For two arrows of length one it is the cosine of the angle between them: 1 in the same
# direction, 0 at a right angle, −1 in opposite directions. An arrow twice as long gives twice as
# much: **direction says whether, length says how much.**

# %%
angle = jnp.linspace(0, 180, 61)
turned = jnp.stack([jnp.cos(jnp.deg2rad(angle)), jnp.sin(jnp.deg2rad(angle))], axis=-1)
fixed = jnp.array([1.0, 0.0])
aj.plots.lines(
    {"length 1": (angle, turned @ fixed), "length 2": (angle, 2 * turned @ fixed)},
    x_label="angle between the arrows (degrees)",
    y_label="dot product",
)

# %% [markdown]
# All words with all words, `x @ x.T`: each is like itself alone. As a way to fetch something this
# is useless. *blue* has no use for what is like *blue*; it needs **the thing that is blue**.

# %%
aj.plots.heat_map(x @ x.T, words, words, query_label="word", source_label="word", numbers=True)

# %% [markdown]
# ## Query, key and value
#
# So every word gets three new rows, each by a matrix of its own:
#
# - its **query**: what it looks for,
# - its **key**: what it can be found by,
# - its **value**: what it hands over when it is found.
#
# In a trained model the three matrices are what is learnt. Ours are written down, one line a
# feature. Queries and keys have two columns, *a thing* and *a property*, so that they can be
# compared; values have two others.

# %%
to_query = jnp.array(
    [
        [2.0, 0],  # an article asks for its thing, a little
        [0, 6.0],  # a thing asks for a property
        [3.0, 3.0],  # a verb asks for both
        [6.0, 0],  # a property asks for a thing
        [0, 0],  # that it is round changes nothing about what it asks for,
        [0, 0],  # nor that it is blue
    ]
)
to_key = jnp.array([[0, 0], [1.0, 0], [0, 0], [0, 1.0], [0, 0], [0, 0]])  # thing, property
to_value = jnp.array([[0, 0], [0, 0], [0, 0], [0, 0], [1.0, 0], [0, 1.0]])  # round, blue

query, key, value = x @ to_query, x @ to_key, x @ to_value

# %% [markdown]
# ## One word asks: *blue*
#
# Its query is (6, 0): a thing, urgently. Four steps lead to its answer.
#
# 1. **Logits**: its query with every key, by dot product, divided by √2, since there are two
#    columns ([notebook 2](2_why_divide_by_the_root_of_d.ipynb) says why).
# 2. **exp** makes them positive, and differences into ratios.
# 3. **Weights**: each one's share of the sum, so that they add up to 1. Steps 2 and 3 are called
#    *softmax*.
# 4. **Output**: the values, mixed by these weights.

# %%
logits = key @ query[3] / jnp.sqrt(2)
shares = jnp.exp(logits)
weights = shares / shares.sum()
output = weights @ value

print("           q·k/√2      exp   weight      value")
for word, *numbers, row in zip(words, logits, shares, weights, value, strict=True):
    print(f"{word:>8}   " + "   ".join(f"{n:6.2f}" for n in numbers) + f"   {row}")
print(f"\nblue gets {weights[1]:.0%} from ball: round {output[0]:.2f}, blue {output[1]:.2f}")

# %% [markdown]
# *blue* now knows that it is said of something round.
#
# ## All words ask at once
#
# The same for all four, in three lines. This is attention; there is nothing more to it.

# %%
logits = query @ key.T / jnp.sqrt(query.shape[-1])
weights = jax.nn.softmax(logits, axis=-1)
output = weights @ value

assert jnp.allclose(weights.sum(-1), 1)

# %% [markdown]
# **Logits.** Read along a row: the word on the left asks the words below.

# %%
aj.plots.heat_map(logits, words, words, numbers=True, title="logits")

# %% [markdown]
# **Weights.** Every row adds up to 1. *ball* and *blue* find each other; *The* asks for its thing,
# but not urgently, and so looks everywhere a little; *is* divides itself between both.

# %%
aj.plots.heat_map(weights, words, words, numbers=True, title="weights")

# %% [markdown]
# **Output.** A row a word again, now with what it has fetched. *ball* has learnt that it is blue,
# and *blue* that it is round. That was in no word alone: it was in the sentence.

# %%
aj.plots.heat_map(
    output, words, ["round", "blue"], source_label="fetched", numbers=True, title="output"
)

# %% [markdown]
# ## The same with `attention_jax`
#
# The three lines are three functions. They take a batch of sentences and several heads, `[B, T, H,
# K]`: here one sentence and one head ([notebook 3](3_heads.ipynb) takes more). `attend` is all
# three at once, and `explain` the weights.

# %%
q, k, v = (rows[None, :, None] for rows in (query, key, value))
print("query", q.shape, " key", k.shape, " value", v.shape)

aj_logits = aj.scaled_dot(q, k)  # [B, H, T, S]
aj_weights = aj.softmax(aj_logits)
aj_output = aj.weigh(aj_weights, v)  # [B, T, H, E]

assert jnp.allclose(aj_logits[0, 0], logits, atol=1e-6)
assert jnp.allclose(aj_weights[0, 0], weights, atol=1e-6)
assert jnp.allclose(aj_output[0, :, 0], output, atol=1e-6)
assert jnp.allclose(aj.attend(q, k, v), aj_output, atol=1e-6)
assert jnp.allclose(aj.explain(q, k), aj_weights, atol=1e-6)
print("all equal")

# %% [markdown]
# ## Three places in a Transformer
#
# A translator uses the very same function three times. Only this differs: who asks, who is asked,
# and who may be seen.
#
# | place | queries from | keys and values from | a word may see |
# | --- | --- | --- | --- |
# | encoder | the source | the source | all words |
# | decoder | the translation | the translation | itself and the words before it |
# | cross | the translation | the source | all words |
#
# Here is a small one for *The ball is blue* → *Der Ball ist blau*. **It is not trained**: its
# matrices are random, so whom it looks at means nothing yet; [notebook
# 6](6_a_translator_opened.ipynb) opens a trained one. What can be seen is the form.

# %%
source = ["The", "ball", "is", "blue", "."]
target = ["<start>", "Der", "Ball", "ist", "blau", "."]  # each is about to write the next word
config = aj.TransformerConfig(vocabulary=12, width=32, encoder_layers=1, decoder_layers=1, heads=1)
model = aj.Transformer(config, rngs=nnx.Rngs(0))

predicted, looks = model(
    jnp.array([[1, 2, 3, 4, 5]]),  # a number for each word
    jnp.array([[6, 7, 8, 9, 10, 11]]),
    explain=True,
)
print("logits of the next word:", predicted.shape)
for place, found in looks._asdict().items():
    print(f"{place} weights, [L, B, H, T, S]: {found.shape}")

# %% [markdown]
# **Encoder**: the source reads itself, every word every word.

# %%
aj.plots.heat_map(looks.encoder[0, 0, 0], source, source, numbers=True, title="encoder")

# %% [markdown]
# **Decoder**: the translation reads itself, but nobody looks ahead. What is hidden has a weight of
# exactly zero, and the first position sees itself alone. This is the mask:

# %%
print(aj.Causal())
assert jnp.all(jnp.triu(looks.decoder[0, 0, 0], 1) == 0)

# %%
aj.plots.heat_map(looks.decoder[0, 0, 0], target, target, numbers=True, title="decoder")

# %% [markdown]
# **Cross**: the translation asks the source. Queries come from one sentence, keys and values from
# the other, so the picture is no square. A trained translator finds here which word to translate
# next.

# %%
aj.plots.heat_map(looks.cross[0, 0, 0], target, source, numbers=True, title="cross")

# %% [markdown]
# ## Try it
#
# - Let a property ask ten times as urgently (60), or a tenth as much (0.6). Which rows change, and
#   how?
# - Add a fifth word, *big*: a property with a feature of its own. What does *ball* fetch now?
# - Give *is* the value (0, 0) and the key (1, 1). Who looks at it now, and what do they get?
#
# Next: [Why divide by √d?](2_why_divide_by_the_root_of_d.ipynb)
