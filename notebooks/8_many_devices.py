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
# # 8 · Many devices
#
# One attention, computed by eight devices in three ways: each with some rows or some heads
# (`pmap`), the same on a mesh where arrays stay cut, and each with some positions, while keys and
# values travel around a ring. Every time the numbers are those of one device, and every time we
# count what the devices send to each other. The eight are pretended ones on your CPU: a cheap way
# to see that numbers and messages are right.
#
# *About 30 seconds on two cores. Run the cells from top to bottom with Shift+Enter; the number of
# devices cannot be changed once something has been computed.*

# %%
from functools import partial

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding

import attention_jax as aj
from attention_jax.parallel.collectives import collectives, summed
from attention_jax.parallel.hlo import Program
from attention_jax.parallel.layout import spec

jax.config.update("jax_num_cpu_devices", 8)  # before anything is computed
print(jax.device_count(), "devices:", *jax.devices())

# %%
rngs = jax.random.split(jax.random.key(0), 3)
query, key, value = (jax.random.normal(rng, (8, 256, 8, 32)) for rng in rngs)  # [B, T, H, K]
alone = aj.attend(query, key, value, mask=aj.Causal())  # what one device gives

# %% [markdown]
# ## `pmap`: the same function everywhere
#
# `jax.pmap` runs a function on every device, each with its own slice of the arrays. Attention
# divides well: rows of a batch know nothing of each other, and neither do heads.
# `parallel.replicate` has each of the three stages, and all at once.

# %%
replicate = aj.parallel.replicate
for over in ("batch", "heads"):
    logits = replicate.score(query, key, over=over)
    weights = replicate.normalize(logits, mask=aj.Causal(), over=over)
    staged = replicate.weigh(weights, value, over=over)
    at_once = replicate.attend(query, key, value, mask=aj.Causal(), over=over)
    assert jnp.allclose(staged, alone, atol=1e-5) and jnp.allclose(at_once, alone, atol=1e-5)
    print(f"over {over}: largest difference to one device {abs(at_once - alone).max():.1e}")

# %% [markdown]
# Arrays went out and came back whole; in between, no device heard of another. In a notebook with
# eight GPUs that is all there is to do.
#
# ## A mesh: arrays that stay cut
#
# In training one does not want arrays to come back, but to lie where they are needed next. A *mesh*
# gives the devices axes, here 2 × 4, and a layout says which axis of an array is cut by which axis
# of the mesh: rows of the batch by `data`, heads by `model`. The number in each cell is the device
# that holds that row and that head.

# %%
layouts = {
    "data=8": aj.parallel.Layout(data=8),
    "model=8": aj.parallel.Layout(model=8),
    "data=2, model=4": aj.parallel.Layout(data=2, model=4),
}
holders = {}
for name, layout in layouts.items():
    cut = NamedSharding(layout.mesh(), spec("B H"))
    holders[name] = jnp.zeros((8, 8), int)
    for device, piece in cut.devices_indices_map((8, 8)).items():
        holders[name] = holders[name].at[piece].set(device.id)
aj.plots.heat_maps(
    holders, query_label="row of the batch", source_label="head", numbers=True, limits=(0, 8)
)

# %%
mesh = layouts["data=2, model=4"].mesh()
cut = NamedSharding(mesh, spec("B whole H K"))
placed = [jax.device_put(x, cut) for x in (query, key, value)]
print("a device holds", placed[0].addressable_shards[0].data.shape, "of", query.shape)

program = jax.jit(partial(aj.attend, mask=aj.Causal())).lower(*placed).compile()
output = program(*placed)
assert jnp.allclose(output, alone, atol=1e-5)
print("largest difference:", abs(output - alone).max())
print("sent:", summed(collectives(Program.parse(program.as_text()), 8)))

# %% [markdown]
# The program was compiled for eight devices, and in its text there is not one message. They begin
# where heads come together again: the output projection adds up what all heads give, and these lie
# on four devices. Each has a part of every sum, so the sums travel, by an *all-reduce*. Among n
# devices a ring of messages sends 2(n − 1)/n of the array from each, and that is what we find.

# %%
projection = jax.random.normal(jax.random.key(1), (8 * 32, 256))  # [H·E, D]
joined = jax.jit(
    lambda q, k, v, w: aj.merge_heads(aj.attend(q, k, v, mask=aj.Causal())) @ w,
    out_shardings=NamedSharding(mesh, spec("B whole whole")),
)
program = joined.lower(
    *placed, jax.device_put(projection, NamedSharding(mesh, spec("H whole")))
).compile()
sent = summed(collectives(Program.parse(program.as_text()), 8))
print("sent by each device:", sent)

sums = 4 * 256 * 256 * 4  # bytes: 4 rows of the batch, 256 positions, 256 features, float32
assert sent == {"all-reduce": {"count": 1, "bytes": 2 * 3 / 4 * sums}}

# %% [markdown]
# ## A ring: sequences that no device holds whole
#
# Now cut the *positions*. Every query must see every key, and the keys lie with all eight. So
# queries stay where they are, while keys and values travel: at each step every device looks at
# those it has, and hands them to its neighbour. After seven hand-overs every query has seen every
# key, and no device ever held more than its own share and the one that was coming.

# %%
ring = aj.parallel.Layout(sequence=8).mesh()
cut = NamedSharding(ring, spec("B S H K"))
placed = [jax.device_put(x, cut) for x in (query, key, value)]
print("a device holds", placed[0].addressable_shards[0].data.shape, "of", query.shape)

around = partial(aj.parallel.sequence.attend, mesh=ring)
output = around(*placed, mask=aj.Causal())
assert jnp.allclose(output, alone, atol=1e-5)
print(f"largest difference: {abs(output - alone).max():.1e}")

# %% [markdown]
# The last bits differ, because a softmax in eight pieces adds up in another order. For the
# gradients everything goes around once more, and they agree too:

# %%
gradient = {
    name: jax.jit(jax.grad(lambda *x, attend=attend: (attend(*x) ** 2).sum(), argnums=(0, 1, 2)))
    for name, attend in {"one device": aj.attend, "ring": around}.items()
}
by_one, by_ring = gradient["one device"](query, key, value), gradient["ring"](*placed)
for name, one, other in zip(("query", "key", "value"), by_one, by_ring, strict=True):
    assert jnp.allclose(one, other, atol=1e-4)
    print(
        f"gradient of {name}: up to {abs(one).max():.1f}, difference {abs(one - other).max():.1e}"
    )

# %% [markdown]
# **What travels**: seven times a device's share of keys and values. There is another way, to
# exchange heads for positions and back (*all-to-all*): it sends less, but every device then holds
# whole sequences of some heads, and there must be enough heads to share.

# %%
share = query.nbytes // 8  # of keys; of values as well
sent = {}
for exchange in ("ring", "all_to_all"):
    program = jax.jit(partial(around, exchange=exchange)).lower(*placed).compile()
    sent[exchange] = summed(collectives(Program.parse(program.as_text()), 8))
    print(f"{exchange}:", sent[exchange])

assert sent["ring"] == {"collective-permute": {"count": 7 * 2, "bytes": 7 * 2 * share}}
assert sent["all_to_all"] == {"all-to-all": {"count": 4, "bytes": 4 * 7 / 8 * share}}

# %% [markdown]
# ### Nobody should wait
#
# With a causal mask, late positions see much and early ones little. Cut in order, the last device
# computes at every step while the first is soon done; the ring turns at the pace of the slowest. So
# for causal masks each device holds one early and one late piece (*zigzag*), and all have the same
# to do. Each cell is how many tiles a device computes at a step:

# %%
work = {
    order: aj.parallel.sequence.work(aj.Causal(), 4096, 4096, devices=8, order=order)
    for order in ("contiguous", "zigzag")
}
for order, tiles in work.items():
    print(
        f"{order}: {tiles.sum()} tiles; at the pace of the slowest, {tiles.max(0).sum()} in a row"
    )
assert work["zigzag"].max(0).sum() < work["contiguous"].max(0).sum()
aj.plots.heat_maps(work, query_label="device", source_label="step", numbers=True)

# %% [markdown]
# ## Memory, before it is needed
#
# A compiler knows how much memory a program takes without running it, so lengths can be asked for
# that would never fit here. The reference keeps all logits, T × T for each of 8 heads; `chunked`
# keeps a tile; the ring keeps a tile, and an eighth of the rest. Counted is what a device holds:
# arguments, result and all in between.

# %%
lengths = [1024, 4096, 16384, 65536]
ways = {
    "one device, reference": (partial(aj.attend, backend="reference"), None),
    "one device, chunked": (partial(aj.attend, backend="chunked"), None),
    "ring of eight": (around, cut),
}
held = {name: [] for name in ways}
for name, (attend, sharding) in ways.items():
    for length in lengths:
        x = jax.ShapeDtypeStruct((1, length, 8, 32), jnp.float32, sharding=sharding)
        memory = (
            jax.jit(partial(attend, mask=aj.Causal())).lower(x, x, x).compile().memory_analysis()
        )
        parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
        held[name].append(sum(getattr(memory, part) for part in parts) / 2**30)

for name, sizes in held.items():
    print(f"{name:>22} at {lengths[-1]:,} positions: {sizes[-1]:6.2f} GiB")
assert held["one device, reference"][-1] > 100 * held["one device, chunked"][-1]
assert held["one device, chunked"][-1] > 4 * held["ring of eight"][-1]
aj.plots.lines(
    {name: (lengths, sizes) for name, sizes in held.items()},
    x_label="T, positions",
    y_label="GiB on each device",
    log_x=True,
    log_y=True,
)

# %% [markdown]
# ## What pretended devices cannot show
#
# **Speed.** All eight share the cores of this machine, so eight of them are no faster than one, and
# a message between them is a copy in the same memory. Whether messages hide behind arithmetic, how
# fast links are, and what waits for what, only real devices tell. `attention-jax plan` comes
# nearer: it asks the compiler for TPUs or GPUs what a whole training step takes, without having
# one.
#
# What is shown holds on real ones too: that the numbers are right, gradients among them, who holds
# what, and which messages are sent.
#
# ## Try it
#
# - Give the ring a window: `aj.Causal() & aj.Window(64, 0)`. How many steps are left in `work`?
# - Cut batch, heads and positions at once: `Layout(data=2, model=2, sequence=2)`.
# - Train on all of them: `attention-jax train --run runs/a --mesh data=2,model=4 …`
#
# *Sources: Liu et al. 2023, "Ring Attention"; Jacobs et al. 2023, "DeepSpeed Ulysses" (all-to-all);
# Thakur et al. 2005 (what collectives send).*
#
# Next: [A pretrained model's heads](9_a_pretrained_models_heads.ipynb)
