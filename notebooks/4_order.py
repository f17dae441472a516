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
# # 4 · Order
#
# *The dog bites the man* and *the man bites the dog* are made of the same words. Attention alone
# cannot tell them apart: it reads a set, not a sequence. You will see that, and then four ways to
# give it the order: waves added to the words, a learned row for each place, queries and keys that
# are turned, and a price on distance.
#
# *About 15 seconds on two cores. Run the cells from top to bottom with Shift+Enter.*

# %%
import jax
import jax.numpy as jnp

import attention_jax as aj

# %% [markdown]
# ## A set, not a sequence
#
# Three words, each a random row of 64 features, look at each other through random matrices:
# nothing is trained, and nothing here depends on that.

# %%
words = ["dog", "bites", "man"]
x = jax.random.normal(jax.random.key(0), (3, 64))
to_query, to_key, to_value = jax.random.normal(jax.random.key(1), (3, 64, 64)) / 8
back = jnp.array([2, 1, 0])  # the same words the other way round

query, key, value = ((x @ matrix)[:, None] for matrix in (to_query, to_key, to_value))  # [T, H, K]

# %% [markdown]
# Turn the sentence round, and the weights turn with it: the same numbers in other places.

# %%
weights, mirrored = aj.explain(query, key)[0], aj.explain(query[back], key[back])[0]
aj.plots.heat_maps(
    {"dog bites man": weights, "man bites dog, put back": mirrored[back][:, back]},
    words,
    words,
)

# %% [markdown]
# So each word gets the very same output, whoever bites whom. Attention is *equivariant* under
# permutations, as algebra says. Nothing that comes later can put the order back, since all other
# layers of a Transformer treat each word by itself.

# %%
forth = aj.attend(query, key, value)
turned_round = aj.attend(query[back], key[back], value[back])
apart = jnp.abs(forth - turned_round[back]).max()
print(f"largest difference of any output feature: {apart:.1e}")
assert apart < 1e-6

# %% [markdown]
# ## Waves
#
# The first Transformer adds a row of sines and cosines to each word, a row for each position.
# Features are taken in pairs, and each pair is a clock hand: the left ones turn fast, the right
# ones hardly at all. Read a row of the picture: that is one position's signature.

# %%
table = aj.sinusoidal(64, 64)
aj.plots.positions(table, title="Sinusoidal positions")

# %% [markdown]
# Why clocks? Because going on by *k* positions turns every hand by a fixed angle, **wherever one
# starts**. A query can therefore ask for "three words back" with one matrix for all positions.
# Written as complex numbers, cos + i·sin, the turn is a division, and it is the same for every
# start:

# %%
hands = table[:, 1::2] + 1j * table[:, 0::2]
turns = hands[3:] / hands[:-3]
print(
    f"turns by 3, over all 61 starts: they differ by {jnp.abs(turns - turns[0]).max():.1e} at most"
)
assert jnp.allclose(turns, turns[0], atol=1e-4)

# %% [markdown]
# It follows that the dot product of two positions depends on their distance alone, and is largest
# where there is none: every diagonal has one colour.

# %%
likeness = table @ table.T
aj.plots.heat_map(
    likeness, query_label="position", source_label="position", title="Position · position"
)

# %%
distance = jnp.arange(-20, 21)
aj.plots.lines(
    {f"from position {start}": (distance, likeness[start, start + distance]) for start in (20, 40)},
    x_label="distance",
    y_label="dot product",
)

# %%
assert jnp.allclose(likeness[20, 20 + distance], likeness[40, 40 + distance], atol=1e-4)

# %% [markdown]
# ## Adding is appending
#
# Is it not reckless to *add* positions to words? Would it not be cleaner to append them, so that
# nothing is mixed? It is the same thing. Append a **one-hot** row that says only "this is position
# t":

# %%
short = jax.random.normal(jax.random.key(2), (4, 8))
appended = jnp.concatenate([short, aj.one_hot(4, 4)], axis=-1)
aj.plots.heat_map(
    appended, [*words, "."], scale="diverging", numbers=False, query_label="word",
    source_label="8 features of the word, then 4 that say where it stands",
)  # fmt: skip

# %% [markdown]
# The next thing that happens to a row is a projection, say to queries. Its matrix now has four
# rows more, and the one-hot picks one of them: **[x, one-hot] · [W; P] = x·W + P**. Appending a
# one-hot position before a projection is adding a learned row after it.

# %%
matrix = jax.random.normal(jax.random.key(3), (8 + 4, 16))
w, p = matrix[:8], matrix[8:]

by_appending = appended @ matrix
by_adding = short @ w + aj.learned(p, 4)
print(f"largest difference: {jnp.abs(by_appending - by_adding).max():.1e}")
assert jnp.allclose(by_appending, by_adding, atol=1e-4)

# %% [markdown]
# So a learned table of positions, the waves (a table that nobody needs to learn), and appending
# are one family. What addition does cost: word and position share one matrix, (x + p)·W, where
# appending would give each its own. In 64 features there is room for both. Random rows of so many
# features are nearly at right angles:

# %%
many = jax.random.normal(jax.random.key(4), (1000, 64))
cosines = aj.cosine(many[:, None], table[:, None])[0]  # of 1,000 random words with 64 positions
print(f"cosine of a random word and a position: {jnp.abs(cosines).mean():.2f} on average")
assert jnp.abs(cosines).mean() < 0.15

# %% [markdown]
# ## Turning queries and keys
#
# Rotary positions take the clocks seriously. Nothing is added; each pair of features of a query
# and of a key is **turned** by its position's angle. Their dot product then knows only the
# difference of the two angles, that is, the distance. Lengths stay as they are, and values are not
# touched at all.
#
# One query and one key, the same ones at all 48 positions, so that only the place can make a
# difference:

# %%
places = jnp.arange(48)
same_query, same_key = jnp.broadcast_to(
    jax.random.normal(jax.random.key(5), (2, 1, 1, 64)), (2, 48, 1, 64)
)
turned_query, turned_key = aj.rotary(same_query, places), aj.rotary(same_key, places)
logits = aj.scaled_dot(turned_query, turned_key)[0]
aj.plots.heat_map(logits, scale="diverging", title="Logits of one query and one key at all places")

# %% [markdown]
# Stripes again, and not alike on both sides: *three words back* and *three words on* are different
# things to ask for. Move the whole text by a thousand positions and the logits stay.

# %%
moved = [aj.rotary(rows, places + 1000) for rows in (same_query, same_key)]
change = jnp.abs(aj.scaled_dot(*moved)[0] - logits).max()
print(f"moved by 1,000 positions: logits change by {change:.0e} at most")
assert change < 1e-3
assert jnp.allclose(jnp.linalg.norm(turned_query, axis=-1), jnp.linalg.norm(same_query, axis=-1))

# %% [markdown]
# How strongly a pair of equal rows match at a distance: the fast hands soon disagree, the slow
# ones go on agreeing for long. The base says how slow the slowest are; a larger one reaches
# farther.

# %%
far = jnp.arange(512)
ones = jnp.ones((512, 1, 64)) / 8  # every pair counts alike
reach = {
    f"base {base:,}": (far, aj.dot(*[aj.rotary(ones, far, base=base)] * 2)[0, 0])
    for base in (100, 10_000, 1_000_000)
}
aj.plots.lines(reach, x_label="distance", y_label="dot product of equal rows")

# %% [markdown]
# ## A price on distance
#
# ALiBi is the plainest: nothing is added to words, nothing is turned; the logits are lowered by
# the distance times a slope. Each head has a slope of its own, so that some look near and some
# far.

# %%
slopes = aj.alibi_slopes(4)
bias = aj.ALiBi(slopes)
titles = [f"slope 1/{1 / slope:.0f}" for slope in slopes]
aj.plots.heat_maps(bias.array(12, 12), titles=titles, numbers=False, columns=4)

# %% [markdown]
# What is left to see when all words match equally well? Behind a causal mask (only earlier words;
# see [notebook 5](5_masks.ipynb)) each head has a soft window. Every step back costs the same
# factor, e to the power of −slope, so the lines would be straight on a log scale.

# %%
alike = jnp.zeros((48, 4, 1))
seen = aj.explain(alike, alike, mask=aj.Causal(), bias=bias, queries=[47])[:, 0, ::-1]
aj.plots.lines(
    {title: (jnp.arange(48), weights) for title, weights in zip(titles, seen, strict=True)},
    x_label="words back",
    y_label="weight",
)

# %%
for slope, weights in zip(slopes, seen, strict=True):
    print(f"slope 1/{1 / slope:<4.0f} the nearest 8 words get {weights[:8].sum():.0%}")
    assert jnp.allclose(weights[1:9] / weights[:8], jnp.exp(-slope), rtol=1e-3)

# %% [markdown]
# ## Who bites whom?
#
# Back to the dog. *bites* stands in the middle of both sentences. How much does what it gets
# change when dog and man change places?

# %%
here = jnp.arange(3)
steep = aj.ALiBi(jnp.ones(1))
found = {}
for sentence in (x, x[back]):
    waved = sentence + aj.sinusoidal(3, 64)
    q, k, v = ((sentence @ matrix)[:, None] for matrix in (to_query, to_key, to_value))
    outputs = {
        "nothing": aj.attend(q, k, v),
        "waves": aj.attend(*((waved @ matrix)[:, None] for matrix in (to_query, to_key, to_value))),
        "rotary": aj.attend(aj.rotary(q, here), aj.rotary(k, here), v),
        "ALiBi": aj.attend(q, k, v, bias=steep),
        "ALiBi, causal": aj.attend(q, k, v, bias=steep, mask=aj.Causal()),
    }
    for name, output in outputs.items():
        found.setdefault(name, []).append(output[1, 0])

changes = {
    name: float(jnp.linalg.norm(one - two) / jnp.linalg.norm(one))
    for name, (one, two) in found.items()
}
aj.plots.bars(
    changes, x_label="what tells the order", y_label="change of bites (share of its length)"
)

# %% [markdown]
# ALiBi alone is as blind as nothing here: one word to the left costs as much as one to the right,
# so a sentence and its mirror image look alike from the middle. Its paper has it behind a causal
# mask, which tells left from right. A mask is a kind of position too, and the next notebook is
# about masks.

# %%
assert changes["nothing"] < 1e-5 and changes["ALiBi"] < 1e-5
assert min(changes["waves"], changes["rotary"], changes["ALiBi, causal"]) > 0.05

# %% [markdown]
# ## Try it
#
# - Let the words look with `rotary` and a base of 100. How far do they still see the order?
# - Give all heads of ALiBi the slope 1/256. What is left of it?
#
# *Sources: Vaswani et al. 2017, section 3.5; Su et al. 2021 (rotary); Press et al. 2022 (ALiBi).*
#
# Next: [Masks](5_masks.ipynb)
