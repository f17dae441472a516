"""What `accelerator.py` measures: made when its turn comes, and tiny where it is only tried."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

KERNELS, WHOLE = ("cudnn", "splash", "tokamax"), ("jax.nn", "chunked", "reference")
STRUCTURED = ("window", "lengths", "segments", "causal & segments")
WHOLE_TO, MOST_LOGITS = 4_096, 2**33
"""Backends without a kernel are measured up to this T, and while their logits take these bytes."""


class Work(NamedTuple):
    """One thing to measure."""

    section: str
    name: str
    make: Callable[[], tuple[Callable[[], Any], dict[str, float]]]
    """gives what to call, and how much a call is: "flops" or "bytes" """


def ceiling(smoke: bool) -> Iterator[Work]:
    """Matrix products of random numbers: constant ones let a GPU clock higher."""
    import jax
    import jax.numpy as jnp

    def make(size: int):
        keys = jax.random.split(jax.random.key(0))
        left, right = (jax.random.normal(key, (size, size), jnp.bfloat16) for key in keys)
        product = jax.jit(jnp.matmul)
        return lambda: product(left, right), {"flops": 2.0 * size**3}

    for size in (64,) if smoke else (4_096, 8_192, 16_384):
        yield Work("ceiling", f"{size:,} x {size:,}", partial(make, size))


def attention(smoke: bool) -> Iterator[Work]:
    """The shapes that matter most come first."""
    import jax

    from attention_jax.functional.fused_options import PLATFORMS

    kernels = [name for name in KERNELS if jax.default_backend() in PLATFORMS[name]]
    lengths = (64,) if smoke else tuple(512 * 2**power for power in range(7))
    shapes = [(128, 4_096), (64, 4_096), *((size, T) for T in lengths for size in (64, 128))]
    shapes = [(64, 64)] if smoke else list(dict.fromkeys(shapes))

    def work(backend, mask, features, length, both, dense=False):
        passes = "forward + backward" if both else "forward"
        shown = f"{mask} as an array" if dense else mask
        name = f"{backend}, {shown}, K {features}, T {length:,}, {passes}"
        make = partial(_attention, backend, mask, features, length, both, dense, smoke)
        return Work("attention", name, make)

    for features, length in shapes:
        for mask in ("none", "causal"):
            for both in (False, True):
                for backend in (
                    *kernels,
                    *(WHOLE if length <= WHOLE_TO and features == 64 else ()),
                ):
                    yield work(backend, mask, features, length, both)
    for mask in STRUCTURED:
        for both in (False, True):
            for backend in (*kernels, "chunked"):
                yield work(backend, mask, shapes[0][0], shapes[0][1], both)
            for backend in kernels:
                if backend != "splash":  # which takes no array
                    yield work(backend, mask, shapes[0][0], shapes[0][1], both, True)


def _attention(
    backend: str, name: str, features: int, length: int, both: bool, dense: bool, smoke: bool
):
    """One attention, in bfloat16."""
    import jax
    import jax.numpy as jnp
    from compiled_attention import TOKENS, WIDTH, mask_of

    import attention_jax as aj

    batch, heads = (1, 2) if smoke else (max(1, TOKENS // length), WIDTH // features)
    mask: Any
    mask, pairs = mask_of(name, batch, length)
    if dense and mask is not None:
        seen = aj.functional.masks.visible(mask, (batch, heads, length, length))
        mask = jnp.broadcast_to(seen, (batch, 1, length, length))
    logits = 4 * batch * heads * length**2
    if backend in ("reference", "jax.nn") and logits > MOST_LOGITS:
        raise ValueError(f"its logits would take {logits / 2**30:.0f} GiB")
    keys = jax.random.split(jax.random.key(0), 4)
    shape = (batch, length, heads, features)
    arrays = [jax.random.normal(key, shape, jnp.bfloat16) for key in keys]

    def attend(query, key, value):
        if backend == "jax.nn":
            whole = None if mask is None else mask.array(length, length)
            return jax.nn.dot_product_attention(query, key, value, mask=whole)
        return aj.attend(query, key, value, mask=mask, backend=backend)

    def with_backward(query, key, value, d_output):
        output, backward = jax.vjp(attend, query, key, value)
        return output, backward(d_output)

    run = jax.jit(with_backward if both else attend)
    given = arrays if both else arrays[:3]
    flops = 4.0 * float(pairs) * heads * features * (3.5 if both else 1)
    return lambda: run(*given), {"flops": flops}


def training(smoke: bool) -> Iterator[Work]:
    """Steps of the Transformers of the paper, in bfloat16, with dropout."""
    from attention_jax.models.transformer import PRESETS, TransformerConfig

    if smoke:
        config = TransformerConfig(vocabulary=32, width=16, encoder_layers=1, decoder_layers=1)
        yield Work("training", "tiny, 2 x 8", partial(_step, config, 2, 8))
        return
    for name, rows in (("base", 256), ("big", 128)):
        yield Work("training", f"{name}, {rows} x 128", partial(_step, PRESETS[name], rows, 128))


def _step(config: Any, rows: int, length: int):
    """A training step; three times the matrix products forward are its work."""
    import jax
    import numpy as np
    import optax
    from flax import nnx

    from attention_jax.data.batches import Batch
    from attention_jax.functional import attend
    from attention_jax.models.transformer import Transformer
    from attention_jax.parallel.arithmetic import matrix_flops
    from attention_jax.training.step import initial_state, mean_loss, split, train_step

    def make(rngs):
        return Transformer(config, rngs=rngs)

    graph, _ = split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    optimizer = optax.adam(1e-4, b1=0.9, b2=0.98)
    state = jax.jit(lambda: initial_state(make, optimizer, 0))()
    ids = np.random.default_rng(0).integers(3, config.vocabulary, (3, rows, length), np.int32)
    source, target_in, target_out = jax.device_put(list(ids))
    weights = jax.device_put(np.ones((rows, length), np.float32))
    batch = Batch(source, target_in, target_out, weights)
    loss = mean_loss(graph, smoothing=0.1)
    plain = partial(attend, backend="reference")
    forward = jax.make_jaxpr(lambda *given: loss(*given, None, attend=plain))(state.params, batch)
    how = {"smoothing": 0.1, "rng": "rbg", "compute": "bfloat16"}
    run = jax.jit(train_step(graph, optimizer, **how), donate_argnums=0)

    def call():
        nonlocal state
        state, metrics = run(state, batch)
        return metrics.loss

    return call, {"flops": 3.0 * matrix_flops(forward.jaxpr), "tokens": float(rows * length)}


def population(smoke: bool) -> Iterator[Work]:
    """One model by itself, and then 20 of them as one program."""
    heads, seeds = ((1, 2), 1) if smoke else ((1, 2, 4, 8, 16), 4)
    yield Work("population", "1 model", partial(_members, heads[-1:], 1, smoke))
    name = f"{len(heads)} head counts x {seeds} seeds"
    yield Work("population", name, partial(_members, heads, seeds, smoke))


def _members(heads: tuple[int, ...], seeds: int, smoke: bool):
    """A step of all members; see `experiments/benchmarks/population.py`."""
    import jax
    import numpy as np

    from attention_jax.data.batches import Batch
    from attention_jax.models.transformer import Transformer, TransformerConfig
    from attention_jax.training.optimizer import OptimizerConfig
    from attention_jax.training.population import PopulationPrograms, Traits

    config = TransformerConfig(heads=heads[-1])
    if smoke:
        sizes = {"vocabulary": 64, "width": 16, "encoder_layers": 1, "decoder_layers": 1}
        config = replace(config, **sizes)
    programs = PopulationPrograms(
        lambda rngs: Transformer(config, rngs=rngs),
        OptimizerConfig(),
        [Traits(count, 1.0, seed) for seed in range(seeds) for count in heads],
        slices=heads[-1],
        steps=1_000,
        smoothing=0.1,
        rng="rbg",
        devices=jax.devices()[:1],
    )
    rows, length = (2, 8) if smoke else (64, 32)
    chance = np.random.default_rng(0)
    batches = {}
    for seed in range(seeds):
        source, target_in, target_out = chance.integers(
            3, config.vocabulary, (3, rows, length), np.int32
        )
        weights = np.ones((rows, length), np.float32)
        batches[seed] = Batch(source, target_in, target_out, weights)
    state = programs.stack([programs.single.start(one.seed) for one in programs.members])
    batch = programs.batch(batches)

    def call():
        nonlocal state
        state, metrics = programs.train(state, batch)
        return metrics.loss

    return call, {"members": float(len(programs.members))}


def decoding(smoke: bool) -> Iterator[Work]:
    """Rows of a decoder-only model: of 1.1 G parameters."""
    from attention_jax.models.decoder_only import DecoderOnlyConfig

    config = DecoderOnlyConfig(
        vocabulary=32_000, width=2_048, layers=22, heads=16, feed_forward=5_632, context=2_048,
        positions="rotary", norm="rms", activation="swiglu", tied=False,
    )  # fmt: skip
    if smoke:
        config = DecoderOnlyConfig(vocabulary=32, width=16, layers=1, context=32, feed_forward=32)
    for rows in (2,) if smoke else (1, 8, 64):
        yield Work("decoding", f"{rows} rows", partial(_tokens, config, rows, 8 if smoke else 64))


def _tokens(config: Any, rows: int, count: int):
    """Some tokens a row; all weights and all room of the cache are read for each of them."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from attention_jax.models.decoder_only import DecoderOnly
    from attention_jax.training.step import cast, split

    graph, _ = split(nnx.eval_shape(lambda: DecoderOnly(config, rngs=nnx.Rngs(0))))
    params = jax.jit(lambda: cast(split(DecoderOnly(config, rngs=nnx.Rngs(0)))[1], "bfloat16"))()
    room = config.context - count

    @jax.jit
    def start(params):
        return nnx.merge(graph, params).start(jnp.full((rows, room), 3, jnp.int32), count)

    @jax.jit
    def run(params, cache):
        def one(carried, _):
            cache, tokens = carried
            logits, cache = nnx.merge(graph, params).step(cache, tokens)
            return (cache, jnp.argmax(logits, -1).astype(jnp.int32)), None

        return jax.lax.scan(one, (cache, jnp.full(rows, 5, jnp.int32)), None, count)[0][1]

    cache = start(params)
    # The table of embeddings is looked up, but for the logits of a tied one.
    read = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    if not config.tied:
        read -= config.vocabulary * config.width * 2
    read += sum(leaf.nbytes for leaf in (*cache.keys, *cache.values))
    return lambda: run(params, cache), {"bytes": float(read * count), "tokens": float(rows * count)}


SECTIONS: dict[str, Callable[[bool], Iterator[Work]]] = {
    "ceiling": ceiling,
    "training": training,
    "population": population,
    "decoding": decoding,
    "attention": attention,
}
