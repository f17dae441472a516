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
# # 2 · Why divide by √d?
#
# Attention divides every dot product by √d, where d is how many features a query has. Without that,
# wide queries make large logits, large logits make a softmax that picks one source and ignores the
# rest, and most rows of such a softmax pass no gradient. Each of these steps is measured here; then
# Bahdanau's additive score, which divides by nothing and seems to get away with it.
#
# *About 20 seconds on two cores. Run the cells from top to bottom with Shift+Enter.*

# %%
import jax
import jax.numpy as jnp

import attention_jax as aj

# %% [markdown]
# ## Wide dot products are large
#
# Let queries and keys be random, every feature with mean 0 and variance 1 and none knowing of
# another: about what a model has before it has learnt anything. The dot product is a sum of d
# products, each with variance
#
# $$\mathrm{Var}(q_i k_i) = \mathrm{E}[q_i^2] \, \mathrm{E}[k_i^2] = 1,$$
#
# and variances of independent terms add up: **q·k has variance d**. Divided by √d it has variance
# 1, whatever d is. So much for theory. Now 512 queries, each with 16 keys of its own, for every
# width from 1 to 1,024:

# %%
widths = [2**power for power in range(11)]
queries, keys = {}, {}
for width in widths:
    one, other = jax.random.split(jax.random.key(width))
    queries[width] = jax.random.normal(one, (512, 1, 1, width))  # [B, T, H, K]
    keys[width] = jax.random.normal(other, (512, 16, 1, width))  # [B, S, H, K]

scores = {"q·k": aj.dot, "q·k / √d": aj.scaled_dot}
logits = {
    name: {width: score(queries[width], keys[width]) for width in widths}
    for name, score in scores.items()
}
variance = {  # of a row's 16 logits, mean of all rows
    name: [float(found[d].var(-1, ddof=1).mean()) for d in widths] for name, found in logits.items()
}

assert jnp.allclose(jnp.array(variance["q·k"]), jnp.array(widths), rtol=0.2)
assert jnp.allclose(jnp.array(variance["q·k / √d"]), 1, rtol=0.2)
aj.plots.lines(
    {name: (widths, found) for name, found in variance.items()} | {"theory: d": (widths, widths)},
    x_label="d, features of a query",
    y_label="variance of the logits",
    log_x=True,
    log_y=True,
)

# %% [markdown]
# ## A softmax of large logits sees one source
#
# Here are the weights of eight of these queries. Above, as d grows, one source takes all: the
# largest logit wins not because it fits so much better, but because all numbers have grown. Below,
# divided by √d, the rows look alike at every width.

# %%
weights = {
    name: {width: aj.softmax(found[width])[:, 0, 0] for width in widths}
    for name, found in logits.items()
}
aj.plots.heat_maps(
    {f"{name}, d = {d}": weights[name][d][:8] for name in scores for d in (4, 64, 1024)},
    columns=3,
    numbers=False,
)

# %% [markdown]
# One number a row says how many sources it really looks at: exp of its entropy, $\exp(-\sum_s w_s
# \log w_s)$. It is 16 if all have the same weight, and 1 if one has it all.

# %%
seen = {
    name: [float(jnp.exp(jax.scipy.special.entr(found[d]).sum(-1)).mean()) for d in widths]
    for name, found in weights.items()
}
for name, found in seen.items():
    print(f"{name:<8} at d = 1,024: {found[-1]:.2f} of 16 sources")
aj.plots.lines(
    {name: (widths, found) for name, found in seen.items()},
    x_label="d, features of a query",
    y_label="sources seen, mean of all rows",
    log_x=True,
)

# %% [markdown]
# ## What is left to learn from
#
# Training moves a query by what comes back to it through the softmax,
#
# $$\frac{\partial w_i}{\partial \ell_j} = w_i (\delta_{ij} - w_j).$$
#
# Where one weight is 1 and all others are 0, this is 0 throughout: the row is sure, and nothing can
# tell it that it is wrong. Then the logits' own derivative by the query is the key, over √d where
# that divides. The picture has the size of the whole, $\partial w / \partial q$: the line is the
# median row, the band goes from the tenth to the ninetieth of a hundred rows, and what is below
# 10⁻⁶ is drawn there.

# %%
jacobian = jax.jit(jax.vmap(jax.jacobian(aj.softmax)))
gradient = {"q·k": {}, "q·k / √d": {}}
for name, sizes in gradient.items():
    for d in widths:
        by_logit = jacobian(logits[name][d]).reshape(512, 16, 16)
        by_query = by_logit @ keys[d][:, :, 0] * (1 if name == "q·k" else d**-0.5)
        sizes[d] = jnp.maximum(jnp.linalg.norm(by_query, axis=(1, 2)), 1e-6)

middle, low, high = (
    {name: [jnp.quantile(sizes[d], q) for d in widths] for name, sizes in gradient.items()}
    for q in (0.5, 0.1, 0.9)
)
aj.plots.lines(
    {name: (widths, middle[name], low[name], high[name]) for name in scores},
    x_label="d, features of a query",
    y_label="size of ∂weights / ∂query",
    log_x=True,
    log_y=True,
)

# %%
sure = {name: (found[1024].max(-1) > 0.99).mean() for name, found in weights.items()}
mean = {name: sizes[1024].mean() for name, sizes in gradient.items()}
print("at d = 1,024      sure rows   median gradient   mean gradient")
for name in scores:
    print(f"{name:<14} {sure[name]:>12.0%} {middle[name][-1]:>17.5f} {mean[name]:>15.2f}")

assert middle["q·k"][-1] < 0.01 * middle["q·k / √d"][-1]
assert mean["q·k"] > mean["q·k / √d"]

# %% [markdown]
# Without √d most rows are sure: they put more than 99% on one source. The gradient has not simply
# vanished, though: its *mean* has even grown, because some rows stand just between two sources and
# are torn to and fro. Most rows hear next to nothing, a few are shouted at. Divided by √d, all rows
# hear about the same, at every width.

# %% [markdown]
# ## The additive score
#
# Bahdanau's score, three years older, is v·tanh(q + k) with a learnt vector v. A tanh is never
# above 1, so one might think that it needs no care. But this is a sum of d terms too, and what
# decides is v. Begun with numbers of size 1 it makes the same trouble as q·k. Begun with numbers of
# size 1/√d, as most layers of a network are, it makes none: **the √d is there as well, in how v
# begins.**

# %%
for name, power in (("v·tanh(q + k), v of size 1", 0), ("v·tanh(q + k), v of size 1/√d", -0.5)):
    v = {d: jax.random.normal(jax.random.key(0), (d,)) * d**power for d in widths}
    logits[name] = {d: aj.additive(queries[d], keys[d], v=v[d]) for d in widths}
    variance[name] = [float(logits[name][d].var(-1, ddof=1).mean()) for d in widths]

aj.plots.lines(
    {name: (widths, found) for name, found in variance.items()},
    x_label="d, features of a query",
    y_label="variance of the logits",
    log_x=True,
    log_y=True,
)

# %% [markdown]
# ## What this does not show
#
# That a model without the division cannot learn. Optimizers such as Adam even out the sizes of
# gradients, and a model may learn smaller queries: T5 leaves the division out, and begins with
# query matrices that are smaller by √d instead. What was shown is where such a model starts from.
#
# ## Try it
#
# - `aj.cosine` divides by the lengths themselves. Add it to `scores`; what does its `temperature`
#   do?
# - `aj.capped` (Gemma 2) holds every logit within ±`cap`: try `lambda q, k: aj.capped(q, k,
#   cap=5.0, score=aj.dot)`.
# - Give queries and keys a mean of 1 instead of 0. Does √d still suffice?
#
# *Sources: Vaswani et al. 2017, section 3.2.1 with its footnote 4; Bahdanau et al. 2015, appendix
# A.1.2; Raffel et al. 2020 (T5).*
#
# Next: [Heads](3_heads.ipynb)
