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
# # 5 · Masks
#
# A mask says who may see whom. You will see the three that every Transformer needs (causal,
# padding, local), how they combine, what happens to a word that may see nothing at all, and how
# far a convolution and attention see through many layers.
#
# *About 20 seconds. Run the cells from top to bottom with Shift+Enter.*

# %%
import jax
import jax.numpy as jnp

import attention_jax as aj

# %% [markdown]
# ## Causal: not the words to come
#
# A model that writes must not look at what it has not written yet. Query *i* sees sources up to
# *i*.

# %%
words = ["The", "ball", "is", "blue", "."]
aj.plots.mask(aj.Causal(), words, words, title="Causal()")

# %% [markdown]
# What a mask hides gets **exactly** no weight, and the rest of the row shares all of it. Random
# queries and keys, without and with the mask:

# %%
query, key, value = jax.random.normal(jax.random.key(0), (3, 5, 1, 16))
aj.plots.heat_maps(
    {
        "no mask": aj.explain(query, key)[0],
        "Causal()": aj.explain(query, key, mask=aj.Causal())[0],
    },
    words,
    words,
)

# %% [markdown]
# Is that enough? The proof is in the gradient. How does the output of each word change when a
# value, or a key, of each other word changes? Zeros above the diagonal mean: not at all. (The
# first word has no choice whom to look at, so no key moves it.)

# %%
slopes_value, slopes_key = jax.jacobian(
    lambda value, key: aj.attend(query, key, value, mask=aj.Causal())[:, 0], argnums=(0, 1)
)(value, key)  # [T, E, S, H, K]
sizes = {
    "through the values": jnp.linalg.norm(slopes_value[:, :, :, 0], axis=(1, 3)),
    "through the keys": jnp.linalg.norm(slopes_key[:, :, :, 0], axis=(1, 3)),
}
aj.plots.heat_maps(sizes, words, words, title="How much each source moves each output")

# %%
for size in sizes.values():
    assert jnp.all(jnp.triu(size, 1) == 0)

# %% [markdown]
# ## Padding: not what only fills the row
#
# Sentences of a batch have different lengths, arrays have one. The rest of a row is filled up, and
# `Lengths` says how much of it is real: of the first sentence 3 words, of the second all 5.

# %%
lengths = aj.Lengths(jnp.array([3, 5]))
aj.plots.mask(lengths, shape=(5, 5), title="Lengths([3, 5])")

# %% [markdown]
# What stands in the padding influences nothing, whatever it is. Here it is the worst there is:
# NaN, which spoils every sum that it is part of, even when it is multiplied by zero.

# %%
batch_query, batch_key, batch_value = jax.random.normal(jax.random.key(1), (3, 2, 5, 1, 16))
clean = aj.attend(batch_query, batch_key, batch_value, mask=lengths)
spoilt = aj.attend(
    batch_query,
    batch_key.at[0, 3:].set(jnp.nan),
    batch_value.at[0, 3:].set(jnp.nan),
    mask=lengths,
)
print("outputs differ by", jnp.abs(clean - spoilt).max())
assert jnp.array_equal(clean, spoilt)

# %% [markdown]
# ## Local, and all the others
#
# A window keeps to the neighbours: a word costs as much as the window is wide, however long the
# text. Masks combine like sets: `&` both, `|` either, `~` not. An expression such as those above
# the pictures is also what kernels are told, so that they can do without the square of ones and
# zeros.

# %%
packed = jnp.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])  # three texts in one row
aj.plots.masks(
    {
        "Window(2, 2)": aj.Window(2, 2),
        "Causal() & Window(2, 0)": aj.Causal() & aj.Window(2, 0),
        "Causal() & Dilated(3)": aj.Causal() & aj.Dilated(3),
        "Prefix(4)": aj.Prefix(4),
        "Segments(packed)": aj.Segments(packed),
        "Causal() & Segments(packed)": aj.Causal() & aj.Segments(packed),
        "Window(1, 1) | Lengths(1)": aj.Window(1, 1) | aj.Lengths(1),
        "~Window(1, 1)": ~aj.Window(1, 1),
    },
    shape=(10, 10),
    columns=4,
)

# %% [markdown]
# From the left, above: the neighbours on both sides (a fast encoder); the last three words (a fast
# writer); every third word back; a prompt that is read whole before writing begins. Below: three
# texts packed into one row, which do not see each other; the same for writing; neighbours, and one
# word that all may see; everything but the neighbours. A mask also prints itself:

# %%
print(aj.Causal() & aj.Window(2, 0))

# %% [markdown]
# How much is left to compute? Pairs of a query and a source, of 1,000 words:

# %%
kept = {
    "Causal()": aj.Causal(),
    "Window(64, 64)": aj.Window(64, 64),
    "Causal() & Window(64, 0)": aj.Causal() & aj.Window(64, 0),
}
aj.plots.bars(
    {"no mask": 1.0} | {name: mask.array(1000, 1000).mean() for name, mask in kept.items()},
    y_label="share of all pairs",
)

# %% [markdown]
# ## A word that may see nothing
#
# The weights of a row are shares of a sum. What if there is nothing to share? The sum is zero, and
# zero divided by zero is NaN; or, if "hidden" was written as a very negative logit, all sources
# are hidden *equally*, and share alike. The third word here may see nothing:

# %%
nothing = jnp.ones((5, 5), bool).at[2].set(False)
output = aj.attend(query, key, value, mask=nothing)
of_jax = jax.nn.dot_product_attention(query[None], key[None], value[None], mask=nothing[None, None])

print("length of its output")
print(f"  attention_jax           {jnp.linalg.norm(output[2]):.3f}")
print(f"  jax.nn                  {jnp.linalg.norm(of_jax[0, 2]):.3f}")
print(f"  the mean of all values  {jnp.linalg.norm(value.mean(0)):.3f}")

# %% [markdown]
# Ours gives zero: nothing seen, nothing said. Its gradients are finite, so one empty row never
# ruins a step of training.

# %%
slopes = jax.grad(
    lambda query, key, value: (aj.attend(query, key, value, mask=nothing) ** 2).sum(),
    argnums=(0, 1, 2),
)(query, key, value)
assert jnp.all(output[2] == 0) and jnp.all(slopes[0][2] == 0)
assert all(jnp.isfinite(slope).all() for slope in slopes)
weights = aj.explain(query, key, mask=nothing)[0]
aj.plots.heat_map(weights, words, words, title="Rows sum to one, or to zero")

# %% [markdown]
# ## What a convolution sees
#
# A convolution of width 3 is a window too: each position sees itself and its neighbours. The
# difference is in the weights. A convolution has learnt them once, by place; attention makes them
# anew for every text, by content. As matrices, for the same twelve positions:

# %%
x, other = jax.random.normal(jax.random.key(2), (2, 12, 1, 16))
learnt = jnp.array([0.5, 0.3, 0.2])
aj.plots.heat_maps(
    {
        "convolution, any text": sum(
            weight * jnp.eye(12, k=place - 1) for place, weight in enumerate(learnt)
        ),
        "window attention, one text": aj.explain(x, x / 2, mask=aj.Window(1, 1))[0],
        "window attention, another": aj.explain(other, other / 2, mask=aj.Window(1, 1))[0],
    },
    scale="sqrt",
)

# %% [markdown]
# So attention can do what a convolution does: three heads, one for each place, each allowed to see
# just its one neighbour. Where that neighbour would lie outside the text, the row is empty and
# gives zeros, which is what people mean by padding a convolution with zeros.

# %%
kernel = jax.random.normal(jax.random.key(3), (3, 16, 16)) / 4  # [width, from, to]
convolved = jax.lax.conv_general_dilated(
    x[None, :, 0], kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
)[0]

neighbours = jnp.stack([jnp.eye(12, k=place - 1, dtype=bool) for place in range(3)])
heads = jnp.repeat(x, 3, axis=1)  # [T, H, K]
attended = jnp.einsum("THE,HED->TD", aj.attend(heads, heads, heads, mask=neighbours), kernel)

print(f"largest difference: {jnp.abs(convolved - attended).max():.0e}")
assert jnp.allclose(convolved, attended, atol=1e-4)

# %% [markdown]
# ## How far one sees through many layers
#
# One layer of width 3 sees three positions. A second one sees the neighbours of neighbours. Which
# positions of the input does the middle of the output depend on? Again the gradient says: it is
# pulled back through 1, 2, …, 8 layers of each kind.

# %%
length, depth = 33, 8
start = jax.random.normal(jax.random.key(4), (length, 16))
kinds = {
    "convolution, width 3": lambda x: jax.lax.conv_general_dilated(
        x[None], kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
    )[0],
    "attention, Window(1, 1)": lambda x: aj.attend(*[x[:, None]] * 3, mask=aj.Window(1, 1))[:, 0],
    "attention, Causal()": lambda x: aj.attend(*[x[:, None]] * 3, mask=aj.Causal())[:, 0],
    "attention, no mask": lambda x: aj.attend(*[x[:, None]] * 3)[:, 0],
}
reached = {}
for name, layer in kinds.items():
    x, pulls, rows = start, [], []
    for _ in range(depth):
        x, pull = jax.vjp(jax.jit(layer), x)
        pulls.append(pull)
        slope = jnp.zeros_like(start).at[length // 2].set(1.0)
        for pull in reversed(pulls):
            (slope,) = pull(slope)
        rows.append(jnp.linalg.norm(slope, axis=-1))
    reached[name] = jnp.stack(rows)

# %% [markdown]
# Each row of a picture shares out how much the middle of the output depends on each position of
# the input. Layer by layer the view grows by one neighbour on each side, for the convolution and
# for window attention alike. Without a window everything is in sight at once, if most of it
# faintly.

# %%
aj.plots.heat_maps(
    {name: sizes / sizes.sum(-1, keepdims=True) for name, sizes in reached.items()},
    [str(layers) for layers in range(1, depth + 1)],
    query_label="layers",
    source_label="position of the input",
    scale="sqrt",
    columns=2,
)

# %% [markdown]
# Counted: how many positions have any share at all? Both lines of width 3 rise by 2 a layer and
# lie on each other.

# %%
counts = {name: (sizes > 0).sum(-1).tolist() for name, sizes in reached.items()}
grows = [2 * layers + 1 for layers in range(1, depth + 1)]
assert counts["convolution, width 3"] == counts["attention, Window(1, 1)"] == grows
assert counts["attention, Causal()"] == [17] * depth
assert counts["attention, no mask"] == [33] * depth
aj.plots.lines(
    {name: (range(1, depth + 1), found) for name, found in counts.items()},
    x_label="layers",
    y_label="positions in sight",
)

# %% [markdown]
# ## Try it
#
# - Print `aj.Causal() & aj.Dilated(2) | aj.Window(1, 0)`. What is it good for?
# - Alternate `Window(1, 1)` and `Dilated(3)` layers. How far do four of them see?
#
# Next: [A translator, opened](6_a_translator_opened.ipynb)
