"""One step of training, one of evaluation: pure functions of plain pytrees."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.data.batches import Batch
from attention_jax.training.loss import Loss, smoothed_cross_entropy

Params = Any
"""The parameters of a model as nested dicts of arrays."""


class State(NamedTuple):
    """All that a step reads and changes."""

    params: Params
    optimizer: optax.OptState
    step: Int[Array, ""]
    """steps done"""
    rng: Array
    """key data of the run's random stream; step n uses the stream folded with n"""


class Metrics(NamedTuple):
    """What one step found, before its update; means are over tokens, in nats."""

    loss: Float[Array, ""]
    nll: Float[Array, ""]
    tokens: Float[Array, ""]
    gradient_norm: Float[Array, ""]


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Params]:
    """A model as its (hashable) structure and its parameters in plain nested dicts."""
    graph, params = nnx.split(model, nnx.Param)
    return graph, nnx.to_pure_dict(params)


def initial_state(
    make_model: Callable[[nnx.Rngs], nnx.Module],
    optimizer: optax.GradientTransformation,
    seed: int | Int[Array, ""],
    *,
    rng: str = "rbg",
) -> State:
    """A fresh state, a pure function of the seed, which may be traced: one program serves all.

    Parameters come from threefry, so they are the same on every device; `rng` names the generator
    of the dropout stream ("rbg" is the fastest, "threefry2x32" the same on every device).
    """
    _, params = split(make_model(nnx.Rngs(jax.random.key(seed, impl="threefry2x32"))))
    stream = jax.random.key_data(jax.random.key(seed, impl=rng))
    return State(params, optimizer.init(params), jnp.zeros((), jnp.int32), stream)


def make_train_step(
    graph: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    *,
    smoothing: float = 0.0,
    rng: str = "rbg",
) -> Callable[[State, Batch], tuple[State, Metrics]]:
    """The jitted step (state, batch) -> (state, metrics); the state that goes in is used up.

    A batch of padding only has loss 0 and changes nothing but the optimizer's moments.
    """
    return jax.jit(train_step(graph, optimizer, smoothing=smoothing, rng=rng), donate_argnums=0)


def make_eval_step(
    graph: nnx.GraphDef, *, smoothing: float = 0.0
) -> Callable[[Params, Batch], Loss]:
    """The jitted evaluation (params, batch) -> sums over the batch's tokens, without dropout."""
    return jax.jit(eval_step(graph, smoothing=smoothing))


def train_step(
    graph: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    *,
    smoothing: float,
    rng: str,
) -> Callable[..., tuple[State, Metrics]]:
    """The step as it is, (state, batch, *, rate, **call) -> (state, metrics), to be transformed.

    `rate` multiplies the learning rate, None leaves it; `call` goes into the model's call.
    """

    def step(
        state: State, batch: Batch, *, rate: Float[Array, ""] | None = None, **call: Any
    ) -> tuple[State, Metrics]:
        def mean_loss(params, key):
            model = nnx.merge(graph, params)
            logits = model(batch.source, batch.target_in, rng=key, **call)
            sums = smoothed_cross_entropy(
                logits, batch.target_out, batch.weights, smoothing=smoothing
            )
            return sums.loss / jnp.maximum(sums.tokens, 1), sums

        key = jax.random.fold_in(jax.random.wrap_key_data(state.rng, impl=rng), state.step)
        (loss, sums), gradient = jax.value_and_grad(mean_loss, has_aux=True)(state.params, key)
        updates, moments = optimizer.update(gradient, state.optimizer, state.params)
        if rate is not None:
            updates = jax.tree.map(lambda update: update * rate.astype(update.dtype), updates)
        params = optax.apply_updates(state.params, updates)
        metrics = Metrics(
            loss, sums.nll / jnp.maximum(sums.tokens, 1), sums.tokens, optax.tree.norm(gradient)
        )
        return State(params, moments, state.step + 1, state.rng), metrics

    return step


def eval_step(graph: nnx.GraphDef, *, smoothing: float) -> Callable[..., Loss]:
    """The evaluation as it is, (params, batch, **call) -> sums, to be transformed."""

    def step(params: Params, batch: Batch, **call: Any) -> Loss:
        logits = nnx.merge(graph, params)(batch.source, batch.target_in, **call)
        return smoothed_cross_entropy(logits, batch.target_out, batch.weights, smoothing=smoothing)

    return step
