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
# # 7 · Heads at work
#
# What is each head of a trained translator good for? We look at what it does, switch it off, keep
# it alone, take heads away until the translations break, and at last cut the cheapest ones out of
# the arrays, which gives a smaller model with the same outputs as if they were silent.
#
# *About a minute on two cores, half of it the training. Run the cells from top to bottom
# with Shift+Enter. Numbers in the text come from the cells; another machine, or another seed,
# gives others.*

# %%
import tempfile
from pathlib import Path

import numpy as np
from flax import nnx
from IPython.display import Markdown

import attention_jax as aj
from attention_jax.analysis import ablation, costs, heads, importance, pruning, removal
from attention_jax.experiment import prepare
from attention_jax.models.places import Head
from attention_jax.trained import translator
from attention_jax.training.step import split
from attention_jax.views.head_words import LOSS, legend
from attention_jax.views.pruning_plots import parts_left, pruning_curves

# %% [markdown]
# ## The patient
#
# A small Transformer of 24 heads: 4 in each of 2 encoder layers, 2 decoder layers, and 2
# attentions from the decoder to the source. It learns English to Spanish from the phrasebook.

# %%
home = tempfile.TemporaryDirectory()
folder = Path(home.name) / "phrasebook"
record = aj.run(
    aj.Experiment(
        name="phrasebook",
        data=aj.DataConfig(vocabulary=1_500, max_length=16, batch_tokens=1_024, shapes=1),
        model=aj.TransformerConfig(
            width=64, encoder_layers=2, decoder_layers=2, feed_forward=128, norm="pre", dropout=0.0
        ),
        training=aj.TrainingConfig(
            steps=400,
            smoothing=0.0,
            optimizer=aj.OptimizerConfig(schedule="cosine", peak=1.2e-2, warmup=50),
            evaluate_every=400,
            checkpoint_every=400,
        ),
        decoding=aj.DecodingConfig(max_length=20, rows=128),
    ),
    folder,
    quiet=True,
)
print(f"translated exactly: {record['test']['test']['exact_match']:.0%} of the test sentences")

# %% [markdown]
# ## What does each head do?
#
# `describe` reads sentences that the model was not trained on and says of each head where it
# looks, how surely, how well it aligns, and what is lost without it. In the map, a colour and a
# number say **by how much the loss rises when that head alone gives nothing**; the word says what
# it does, where its statistics say so.

# %%
found = heads.describe(folder, sentences=128)
aj.plots.head_map(found, LOSS)

# %%
Markdown(f"*{legend()}*")

# %%
worth = {
    Head(one["part"], one["layer"], one["head"]): one["loss_without"] for one in found["heads"]
}
ordered = sorted(worth, key=worth.__getitem__)
cheap = [head for head in ordered if worth[head] < 0.01]
print(f"dearest:  {ordered[-1]}, {worth[ordered[-1]]:+.3f} nats a token")
print(f"cheapest: {ordered[0]}, {worth[ordered[0]]:+.4f}")
print(f"{len(cheap)} of {len(worth)} heads cost less than 0.01 nats when they go alone")

# %% [markdown]
# ## Can we know without trying?
#
# One backward pass estimates the worth of all heads at once (Michel et al. 2019): how steeply the
# loss changes as a gate on the head is moved. It is cheap; does it put heads in the same order as
# silencing them one by one?

# %%
slope = {Head(one["part"], one["layer"], one["head"]): one["importance"] for one in found["heads"]}
print(f"rank correlation: {importance.rank_correlation(slope, worth):.2f}")

# %% [markdown]
# ## All but one
#
# Now the other way round. In one attention at a time only its best head stays; all other
# attentions keep theirs. The best head is chosen on validation sentences, the loss is that of
# test sentences.

# %%
experiment, tokenizer, graph, params = aj.load(folder)
prepared = prepare(experiment.data, tokenizer)
chosen = pruning.some_batches(prepared.examples("validation"), 128)
judged = pruning.some_batches(prepared.examples("test"), 256)

whole = ablation.loss(graph, params, judged)
alone = pruning.one_left(graph, params, chosen, judged)
aj.plots.bars(
    {f"{one['part']}·{one['layer'] + 1}": one["loss"] - whole for one in alone},
    x_label="attention that keeps one head of four",
    y_label="rise of the loss (nats a token)",
)

# %% [markdown]
# ## Until it breaks
#
# Heads go one after the other, in three orders: **greedy** (in each round a quarter of those
# left, those that the loss misses least), by **importance** (the backward pass, once), and at
# **random**, which the others have to beat. To the right the model has fewer and fewer heads; the
# dashed line is the whole model.

# %%
greedy = pruning.greedy_order(graph, params, chosen, share=0.25)
orders = {
    "greedy": greedy,
    "importance": pruning.importance_order(slope),
    "random": pruning.random_order(experiment.model, seed=0),
}
pairs = prepared.corpus.splits["test"][:128]
score = pruning.scorer(experiment, tokenizer, pairs, "exact_match")
at = pruning.spread(len(greedy), 7)
curves = {
    name: pruning.curve(graph, params, judged, order, at=at, score=score)
    for name, order in orders.items()
}
pruned = {
    "name": "phrasebook",
    "split": "test",
    "metric": "exact_match",
    "baseline": {"loss": whole, "score": score(graph, params)},
    "curves": curves,
    "one_left": alone,
}
pruning_curves(pruned, "loss")

# %%
pruning_curves(pruned, "score")

# %% [markdown]
# Which part of the model gives its heads up last? A line above the dotted one keeps more than its
# share.

# %%
parts_left(pruned, "greedy")

# %% [markdown]
# ## Out with them
#
# A head that is silenced still costs what it cost. So we take as many as go, in the greedy order,
# before the loss of the sentences that they were chosen on rises by a tenth, and **cut them out**
# of the arrays. What is left is a smaller Transformer, with unequal numbers of heads in its
# layers. It must say exactly what the whole one says with these heads silenced.

# %%
config = ablation.config_of(graph, params)
rises = ablation.losses(graph, params, chosen, [greedy[:n] for n in range(len(greedy) + 1)])
useless = greedy[: max(n for n, loss in enumerate(rises) if loss <= 1.1 * rises[0])]

small, small_params = removal.remove(config, params, useless)
small_graph, _ = split(nnx.eval_shape(lambda: aj.Transformer(small, rngs=nnx.Rngs(0))))
silent = ablation.without(params, config, useless)

print(f"{len(useless)} heads go:", *useless, sep="\n  ")
print("left in the encoder ", small.encoder_heads)
print("left in the decoder ", small.decoder_heads)
print("left to the source  ", small.cross_heads)

# %%
batch = judged[0]
silenced = nnx.merge(graph, silent)(batch.source, batch.target_in)
cut = nnx.merge(small_graph, small_params)(batch.source, batch.target_in)
print("largest difference of a logit:", np.abs(silenced - cut).max())
assert np.allclose(silenced, cut, atol=1e-3)

# %% [markdown]
# The small model is written as a run like any other: it can be loaded, translated with, looked
# at, trained on.

# %%
removal.save_run(folder.parent / "small", experiment, tokenizer, small, small_params)
print(translator(folder.parent / "small", which="last").translate(["The ball is blue"]))

# %% [markdown]
# ## The report
#
# `pruning.write` puts all of this into a run's folder, as numbers and as tables; reports of
# comparisons pick it up there. (`python -m experiments.pruning --run DIR` does what this notebook
# does, for any run.)

# %%
models = {"whole": (graph, params), "cut": (small_graph, small_params)}
pruned["removed"] = [
    {
        "what": name,
        **costs.sizes(*model, length=16),
        "loss": ablation.loss(*model, judged),
        "score": score(*model),
    }
    for name, model in models.items()
]
heads.write(folder, found)
Markdown(pruning.write(folder, pruned))

# %% [markdown]
# ## Try it
#
# - Train with `heads=8`. Do more heads go before the loss rises by a tenth?
# - Which heads does `random_order` spare by luck? Try other seeds.
#
# *Sources: Michel et al. 2019, "Are Sixteen Heads Really Better than One?"; Voita et al. 2019.*
#
# Next: [Many devices](8_many_devices.ipynb)
