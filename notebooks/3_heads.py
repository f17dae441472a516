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
# # 3 · Heads
#
# A Transformer does not attend once but with several *heads* side by side. Here you see how a width
# is split into heads, something that one head cannot do and two can, what gets lost when heads
# become small, and a small experiment with one head against four, judged as such experiments should
# be.
#
# *About 45 seconds on two cores. Run the cells from top to bottom with Shift+Enter.*

# %%
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import attention_jax as aj
from attention_jax.analysis.variants import compare, curve
from attention_jax.analysis.verdict import verdict
from attention_jax.comparison.labels import labels
from attention_jax.experiment import prepare

# %% [markdown]
# ## Splitting
#
# Splitting adds nothing: the features of each row are dealt out, the first few to the first head,
# and so on. Here is one row of 8 features as 2 heads of 4. `merge_heads` puts them side by side
# again.

# %%
row = jnp.arange(8)[None]  # [T, D]
heads = aj.split_heads(row, 2)  # [T, H, K]
print(heads[0])
assert jnp.array_equal(aj.merge_heads(heads), row)

# %% [markdown]
# So at a fixed width any number of heads has the same parameters. What grows with it are the
# weights: every head looks for itself.

# %%
x = jax.random.normal(jax.random.key(0), (1, 5, 64))
for count in (1, 2, 4, 8):
    layer = aj.MultiHeadAttention(64, count, rngs=nnx.Rngs(0))
    size = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(layer, nnx.Param)))
    shape = layer.explain(x, x).shape
    print(f"H = {count}, K = {64 // count:2}: {size:,} parameters, weights {shape}")

# %% [markdown]
# ## What one head cannot do and two can
#
# *dog bites man*: the verb wants to know who bites, the word before it, **and** who is bitten, the
# word after it. Let keys say where a word stands, and values which word it is. The query of *bites*
# asks for both places: with one head for both, or with a head for each.

# %%
places = aj.one_hot(3, 3)  # before, the verb itself, after
key = places[:, None]  # [S, G, K]
sentences = {"dog bites man": jnp.eye(3)[:, None]}  # values: a feature a word
sentences["man bites dog"] = sentences["dog bites man"][::-1]

before, after = 1000 * places[0], 1000 * places[2]  # so large that weights are exactly 0 and 1
one_head = (before + after)[None, None]  # [T, H, K], H = 1
two_heads = jnp.stack([before, after])[None]  # H = 2
told = {
    said: jnp.concatenate([aj.attend(query, key, value)[0] for query in (one_head, two_heads)])
    for said, value in sentences.items()
}
aj.plots.heat_maps(
    told,
    ["both", "before", "after"],
    ["dog", "bites", "man"],
    query_label="a head that asks for",
    source_label="is told",
    numbers=True,
)

# %%
assert jnp.array_equal(told["dog bites man"][0], told["man bites dog"][0])
assert jnp.array_equal(told["dog bites man"][1:], jnp.array([[1.0, 0, 0], [0, 0, 1.0]]))
assert jnp.array_equal(told["man bites dog"][1:], jnp.array([[0, 0, 1.0], [1.0, 0, 0]]))

# %% [markdown]
# One head has one set of weights, and they add up to 1: it can divide itself, but then hands over
# **one mixture**. To it *dog bites man* and *man bites dog* are the same. Two heads hand over two
# words.
#
# ### Could it divide itself cleverly?
#
# Say 70% before and 30% after: then the two sentences do differ. How much of both words can the
# output projection, which is a matrix, get back out of the mixture? Take all 64 pairs of 8 words
# and the *best* matrix for each division, by least squares: what it gets back is the share of the
# words' variance that it explains.

# %%
pair = np.arange(64)
first, second = np.eye(8)[pair // 8], np.eye(8)[pair % 8]
division = np.linspace(0, 1, 41)
kept = {"word before": [], "word after": []}
for share in division:
    mixture = share * first + (1 - share) * second
    for word, name in zip((first, second), kept, strict=True):
        best = mixture @ np.linalg.lstsq(mixture, word)[0]
        kept[name].append(1 - ((word - best) ** 2).sum() / (64 * word.var(0).sum()))

together = np.add(kept["word before"], kept["word after"])
assert np.allclose(together, 1)
aj.plots.lines(
    {name: (division, share) for name, share in kept.items()}
    | {"both together": (division, together)},
    x_label="share of the head that looks before",
    y_label="words got back",
)

# %% [markdown]
# However it divides itself, one head gets back exactly **one** word in all: what it gains on one
# side it loses on the other. Two heads get back two. Making the one head larger does not help: its
# values are mixed all with the same weights. (A network behind it might untangle 0.7 *dog* + 0.3
# *man*, since words are few, and a second layer can look again. But no matrix can.)
#
# ## What gets lost when heads are small
#
# The other side of the account. A head of size K computes its T × T logits from K features of each
# position, so **their rank is at most K**. Where K is below T − 1, there are patterns of weights
# that no such head can make, whatever its queries and keys (Bhojanapalli et al. 2020).

# %%
length = 16
for size in (1, 2, 4, 8, 16, 32):
    q, k = np.random.default_rng(0).normal(size=(2, length, 1, size))
    print(f"K = {size:2}: rank {np.linalg.matrix_rank(aj.dot(q, k)[0])} of {length}")

# %% [markdown]
# Take some weights at random as the pattern that is wanted. Their logits are log *w*, but for a
# constant in each row, which softmax does not see; without it they have rank 15. The nearest logits
# of rank K are known exactly, from the singular values (Eckart and Young 1936). So we can see how
# near a head of size K comes.

# %%
wanted = aj.softmax(2 * jax.random.normal(jax.random.key(0), (1, length, length)))[0]
exact = np.log(wanted) - np.log(wanted).mean(-1, keepdims=True)
left, values, right = np.linalg.svd(exact)
nearest = {size: left[:, :size] * values[:size] @ right[:size] for size in range(1, length + 1)}
made = {size: aj.softmax(logits[None])[0] for size, logits in nearest.items()}
aj.plots.heat_maps(
    {"wanted": wanted} | {f"K = {size}": made[size] for size in (2, 8, 15)},
    columns=4,
    numbers=False,
)

# %%
whole = np.linalg.norm(exact)
missing = {size: np.linalg.norm(exact - found) / whole for size, found in nearest.items()}
assert missing[14] > 1e-3 and missing[15] < 1e-5
assert jnp.allclose(made[15], wanted, atol=1e-5)
aj.plots.lines(
    {"nearest of rank K": (list(missing), list(missing.values()))},
    x_label="K, features of a head",
    y_label="distance to the logits wanted",
)

# %% [markdown]
# A bound says that *some* pattern is out of reach, not that yours is. To look at one place each,
# two features are enough, for any length: put the positions on a circle.

# %%
angle = 2 * jnp.pi * jnp.arange(length) / length
circle = 10 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)[:, None]  # K = 2
logits = aj.dot(circle, circle)
itself = jnp.diag(aj.softmax(logits)[0])
print(f"rank {np.linalg.matrix_rank(logits[0])}; weight on itself: {itself.min():.3f}")
assert itself.min() > 0.99

# %% [markdown]
# ## One head or four? An experiment
#
# So few heads lack mixtures and small heads lack patterns. Which counts for more is a question to a
# task. A small one: *recall*. The source lists six pairs in random order, a key and its value each,
# and the target is all values in the order of their keys.

# %%
data = aj.DataConfig("recall-6", "pairs", "values", max_length=8, batch_tokens=512, shapes=1)
prepared = prepare(data)
pair = prepared.corpus.splits["train"][0]
print("source:", pair.source, "\ntarget:", pair.target)

# %% [markdown]
# Two Transformers of one layer each way: one head of 32 features, or four of 8. Nothing else
# differs: the same seed gives both the same first parameters and the same batches. Five seeds,
# since one run says nothing.

# %%
base = aj.Experiment(
    data=data,
    model=aj.TransformerConfig(
        width=32, encoder_layers=1, decoder_layers=1, feed_forward=64, dropout=0.0, norm="pre"
    ),
    training=aj.TrainingConfig(
        steps=250,
        evaluate_every=25,
        checkpoint_every=250,
        smoothing=0.0,
        optimizer=aj.OptimizerConfig(schedule="cosine", peak=2e-2, warmup=30),
    ),
    decoding=aj.DecodingConfig(max_length=8, rows=500),
)
experiments = [
    replace(base, seed=seed, model=replace(base.model, heads=count))
    for count in (1, 4)
    for seed in range(5)
]
records, curves = [], {}
with tempfile.TemporaryDirectory() as folder:
    for variant, one in zip(labels(experiments), experiments, strict=True):
        run = Path(folder, f"{variant} {one.seed}")
        records.append(aj.run(one, run, prepared=prepared, quiet=True) | {"variant": variant})
        lines = (run / "metrics.jsonl").read_text().splitlines()
        curves[variant, one.seed] = curve(map(json.loads, lines))

# %%
aj.plots.learning_curves(curves, label="validation loss")

# %%
for record in records:
    test = record["test"]["test"]
    print(
        f"{record['variant']:>7}, seed {record['seed']}: loss {test['loss']:.3f}, "
        f"{test['exact_match']:4.0%} of the test sentences right"
    )

# %% [markdown]
# A thin line is a run. See how far apart the seeds of either lie: one run of each would say little.
# So the difference is taken seed by seed, with an interval (Student's t), and the interval decides:

# %%
comparison = compare(records)
print(verdict(comparison))

# %% [markdown]
# This is an answer about this task, this width and 250 steps, about how soon a model learns and
# not what it could ever learn. And the task was picked: of several sizes and lengths of training
# that were tried, this one shows a difference, and the interval knows nothing of that. On the
# phrasebook, a small translation task, 1, 2, 4 and 8 heads could not be told apart (`make heads`,
# [experiments](../experiments/README.md)). What a head is worth has to be asked anew for each
# task; that is what this package is for.
#
# ## Try it
#
# - Make `one_head` divide itself 70 to 30. How must the two numbers 1000 change?
# - Add 2 heads to the experiment, or give one head eight features (`head_size=8`).
# - Which patterns of weights are easy for K = 2? Try "the one before me", or "all that are even".
#
# *Sources: Vaswani et al. 2017, section 3.2.2; Bhojanapalli et al. 2020, "Low-Rank Bottleneck in
# Multi-head Attention Models"; Arora et al. 2023, "Zoology" (recall).*
#
# Next: [Order](4_order.ipynb)
