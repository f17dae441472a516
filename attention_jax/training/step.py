"""One step of training, one of evaluation: pure functions of plain pytrees."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from attention_jax.training.loss import Loss
from attention_jax.training.objective import Objective, translation

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
    sound: Bool[Array, ""]
    """False from a batch on whose loss or gradient is not finite: the state stays as it was before
    that batch until the host has looked"""


class Metrics(NamedTuple):
    """What one step found, before its update; means are over tokens, in nats."""

    loss: Float[Array, ""]
    nll: Float[Array, ""]
    tokens: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    sound: Bool[Array, ""]
    """whether this batch and all before it changed the state; see `State.sound`"""


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
    moments, sound = optimizer.init(params), jnp.ones((), jnp.bool)
    return State(params, moments, jnp.zeros((), jnp.int32), stream, sound)


def make_train_step(
    graph: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    *,
    smoothing: float = 0.0,
    rng: str = "rbg",
) -> Callable[[State, Any], tuple[State, Metrics]]:
    """The jitted `train_step`; the state that goes in is used up."""
    return jax.jit(train_step(graph, optimizer, smoothing=smoothing, rng=rng), donate_argnums=0)


def make_eval_step(graph: nnx.GraphDef, *, smoothing: float = 0.0) -> Callable[[Params, Any], Loss]:
    """The jitted `eval_step`."""
    return jax.jit(eval_step(graph, smoothing=smoothing))


def train_step(
    graph: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    *,
    smoothing: float,
    rng: str,
    compute: str = "float32",
    over: str | None = None,
    guarded: bool = True,
    objective: Objective = translation,
) -> Callable[..., tuple[State, Metrics]]:
    """The step as it is, (state, batch, *, rate, **call) -> (state, metrics), to be transformed.

    A batch of padding only has loss 0 and changes nothing but the optimizer's moments. One whose
    loss or gradient is not finite changes nothing but `sound`, and so do all after it.

    Args:
      graph: the model's structure.
      optimizer: from gradients to updates.
      smoothing: ε of the labels.
      rng: generator of the dropout stream.
      compute: the dtype that parameters are cast to in front of the model.
      over: the name of a mapped axis, as of pmap, along which there is a part of the batch each:
        the step is that of the whole batch, and each part draws its own dropout.
      guarded: False lets what is not finite into the state: to measure what the guard costs.
      objective: what a batch costs.

    Returns:
      A function in which `rate` multiplies the learning rate, None leaves it; `call` goes into the
      model's call.
    """
    costs = {"smoothing": smoothing, "objective": objective}
    loss_of = mean_loss(graph, compute=compute, over=over, **costs)
    gradient_of = jax.value_and_grad(loss_of, has_aux=True)

    def step(
        state: State, batch: Any, *, rate: Float[Array, ""] | None = None, **call: Any
    ) -> tuple[State, Metrics]:
        key = dropout_key(state, rng)
        if over is not None:
            key = jax.random.fold_in(key, lax.axis_index(over))
        (loss, sums), gradient = gradient_of(state.params, batch, key, **call)
        if over is not None:
            # Each part has divided by the tokens of all: sums are what the whole batch gives.
            loss, sums, gradient = lax.psum((loss, sums, gradient), over)
        updates, moments = optimizer.update(gradient, state.optimizer, state.params)
        if rate is not None:
            updates = jax.tree.map(lambda update: update * rate.astype(update.dtype), updates)
        params, norm = optax.apply_updates(state.params, updates), optax.tree.norm(gradient)
        sound = state.sound & jnp.isfinite(loss) & jnp.isfinite(norm)
        nll = sums.nll / jnp.maximum(sums.tokens, 1)
        metrics = Metrics(loss, nll, sums.tokens, norm, sound)
        after = State(params, moments, state.step + 1, state.rng, sound)
        if guarded:
            # A choice, not a branch: under vmap each member has its own, and a sound step is the
            # same arithmetic with or without it.
            before = state._replace(sound=sound)
            after = jax.tree.map(lambda new, old: jnp.where(sound, new, old), after, before)
        return after, metrics

    return step


def mean_loss(
    graph: nnx.GraphDef,
    *,
    smoothing: float,
    compute: str = "float32",
    over: str | None = None,
    objective: Objective = translation,
) -> Callable[..., tuple[Float[Array, ""], Loss]]:
    """What training lowers, (params, batch, key, **call) -> (mean over tokens, sums).

    `key` is of dropout, None for none of it; `call` goes into the model's call; `compute`, `over`
    and `objective` are as in `train_step`: of a part of a batch, its share of the mean and its
    own sums.
    """

    def loss(
        params: Params, batch: Any, key: Array | None, **call: Any
    ) -> tuple[Float[Array, ""], Loss]:
        model = nnx.merge(graph, cast(params, compute))
        sums: Loss = objective(model, batch, rng=key, smoothing=smoothing, **call)
        tokens = sums.tokens if over is None else lax.psum(sums.tokens, over)
        return sums.loss / jnp.maximum(tokens, 1), sums

    return loss


def cast(params: Params, dtype: str) -> Params:
    """The parameters as numbers of this dtype, "float32" as they are; gradients in their own."""
    return params if dtype == "float32" else jax.tree.map(lambda x: x.astype(dtype), params)


def dropout_key(state: State, rng: str) -> Array:
    """The random stream of the state's next step; `rng` names its generator."""
    return jax.random.fold_in(jax.random.wrap_key_data(state.rng, impl=rng), state.step)


def eval_step(
    graph: nnx.GraphDef,
    *,
    smoothing: float = 0.0,
    compute: str = "float32",
    objective: Objective = translation,
) -> Callable[..., Loss]:
    """The evaluation as it is, (params, batch, **call) -> sums over tokens, to be transformed."""

    def step(params: Params, batch: Any, **call: Any) -> Loss:
        model = nnx.merge(graph, cast(params, compute))
        return objective(model, batch, smoothing=smoothing, **call)

    return step
