"""Gates that learn which heads to close: L0 regularisation by hard concrete variables.

Every head's output is multiplied by a gate. While training, a gate is drawn from a distribution on
[0, 1] that has mass at 0 and at 1 themselves, so that the expected number of open gates has a
derivative; the loss pays for each of them. Afterwards gates are numbers, many of them exactly 0.

Sources: Louizos, Welling and Kingma 2018, "Learning Sparse Neural Networks through L0
Regularization"; Voita et al. 2019, section 5 (gates of heads, from a trained model).
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.analysis.ablation import all_heads, config_of, loss, scaled
from attention_jax.analysis.pruning import Score, point
from attention_jax.data.batches import Batch, train_iterator
from attention_jax.experiment import Experiment
from attention_jax.models.places import Head, Place
from attention_jax.training.ledger import Diverged
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.prepared import Prepared

LOW, HIGH = -0.1, 1.1
"""γ and ζ: the binary concrete variable is stretched to this interval, then cut to [0, 1]."""
TEMPERATURE = 2 / 3
"""β (Louizos et al. 2018, section 2.3)."""
START = 2.5
"""log α of a gate that is just open: `settled` gives exactly 1 from 2.4 on."""


def sampled(
    log_alpha: Float[Array, "*B"], rng: Array, *, temperature: float = TEMPERATURE
) -> Float[Array, "*B"]:
    """Hard concrete gates, drawn independently: numbers from 0 to 1, both ends included.

    Source: Louizos et al. 2018, equations 10 and 11.
    """
    noise = jax.random.logistic(rng, log_alpha.shape, log_alpha.dtype)  # log u - log (1 - u)
    concrete = jax.nn.sigmoid((noise + log_alpha) / temperature)
    return jnp.clip(concrete * (HIGH - LOW) + LOW, 0, 1)


def open_probability(
    log_alpha: Float[Array, "*B"], *, temperature: float = TEMPERATURE
) -> Float[Array, "*B"]:
    """How likely a gate that is drawn is not 0; summed, the expected number of open gates.

    Source: Louizos et al. 2018, equation 12.
    """
    return jax.nn.sigmoid(log_alpha - temperature * np.log(-LOW / HIGH))


def settled(log_alpha: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """The gates after training, without noise.

    Source: Louizos et al. 2018, equation 13.
    """
    return jnp.clip(jax.nn.sigmoid(log_alpha) * (HIGH - LOW) + LOW, 0, 1)


class Gated(NamedTuple):
    """What training with gates gave."""

    params: Any
    """of the same shapes; every gate is folded into its rows of the output kernel"""
    gates: dict[Place, Float[np.ndarray, " H"]]
    """from 0 to 1, all in `params` already"""
    removed: list[Head]
    """heads whose gate is 0: `removal.remove` can cut them out of `params`"""


def prune_with_gates(
    experiment: Experiment,
    graph: nnx.GraphDef,
    params: Any,
    prepared: Prepared,
    *,
    strength: float,
    steps: int,
    rate: float = 3e-4,
    gate_rate: float = 0.1,
    temperature: float = TEMPERATURE,
) -> Gated:
    """Trains a trained model on, together with gates, and closes the heads that are not worth it.

    The loss is that of training plus `strength` times the expected number of open gates. A gate is
    drawn for each sentence, where the sources draw one a batch: the expectation is the same, and
    what the gates learn from one batch is less noisy.

    Args:
      experiment: what the model is of; its data order, smoothing and dropout are used again.
      graph: the model's structure.
      params: where it starts from.
      prepared: the data.
      strength: λ, what a head must be worth to stay, in nats a token.
      steps: batches.
      rate: Adam's, for the model; a half cosine takes it to 0.
      gate_rate: Adam's, for the gates; a gate moves at most about this far a step, and from open to
        closed it has 5 to go.
      temperature: β.

    Raises:
      ValueError: a number is out of range.
      Diverged: the loss is not finite.

    Source: Voita et al. 2019, section 5.2.
    """
    for name, value, least in (("strength", strength, 0), ("steps", steps, 1)):
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")
    training, config = experiment.training, config_of(graph, params)
    step, start = _trainer(
        graph, steps, rate, gate_rate, temperature, training.smoothing, training.rng
    )
    log_alpha = {place: START * gate for place, gate in all_heads(config).items()}
    # A copy: the first step uses up what it is given.
    state = start(jax.device_put(jax.tree.map(np.array, (params, log_alpha)), may_alias=False))
    stream = jax.random.key(experiment.seed, impl=training.rng)
    batches = train_iterator(prepared.plan(experiment.seed))
    last = jnp.nan
    for number in range(steps):
        state, last = step(state, next(batches), jax.random.fold_in(stream, number), strength)
    if not np.isfinite(last):
        raise Diverged(f"the loss is {last} after {steps} steps; a lower rate than {rate} may help")
    params, log_alpha = state[0]
    gates = {place: np.asarray(settled(each)) for place, each in log_alpha.items()}
    removed = [head for head in config.every_head() if gates[head.place][head.head] == 0]
    return Gated(scaled(params, gates, "output"), gates, removed)


def curve(
    experiment: Experiment,
    graph: nnx.GraphDef,
    params: Any,
    prepared: Prepared,
    strengths: Sequence[float],
    batches: Sequence[Batch],
    *,
    steps: int,
    score: Score | None = None,
) -> list[dict[str, Any]]:
    """Loss and score of what gates leave at several strengths, as pruning.json holds them.

    Args:
      experiment: see `prune_with_gates`.
      graph: the model's structure.
      params: where each training starts from.
      prepared: the data.
      strengths: λ, one a point, in nats a token.
      batches: what the loss is of.
      steps: of each training.
      score: how translations are judged; None leaves "score" None.
    """
    points = []
    for strength in strengths:
        found = prune_with_gates(
            experiment, graph, params, prepared, strength=strength, steps=steps
        )
        judged = None if score is None else score(graph, found.params)
        lost = loss(graph, found.params, batches)
        one = point(config_of(graph, params), found.removed, lost, judged)
        points.append(one | {"strength": strength})
    return points


@functools.lru_cache(maxsize=4)
def _trainer(graph, steps, rate, gate_rate, temperature, smoothing, impl):
    """The jitted (state, batch, rng, strength) -> (state, loss), and what makes its first state."""
    course = optax.cosine_decay_schedule(rate, steps)
    for_params = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(course, b2=0.98))
    for_gates = optax.adam(gate_rate)

    def start(trained):
        return trained, (for_params.init(trained[0]), for_gates.init(trained[1]))

    def total(trained: tuple[Any, dict[Place, Array]], batch: Batch, rng: Array, strength):
        params, log_alpha = trained
        drop, draw = jax.random.split(rng)
        rows = batch.source.shape[0]
        keys = dict(zip(log_alpha, jax.random.split(draw, len(log_alpha)), strict=True))

        def gated(place: Place, outputs: Float[Array, "B T H K"]):
            each = jnp.broadcast_to(log_alpha[place][None], (rows, outputs.shape[2]))
            gate = sampled(each, keys[place], temperature=temperature)
            return outputs * gate[:, None, :, None].astype(outputs.dtype)

        model = nnx.merge(graph, params)
        logits = model(batch.source, batch.target_in, rng=drop, heads=gated)
        sums = smoothed_cross_entropy(logits, batch.target_out, batch.weights, smoothing=smoothing)
        counts = [open_probability(a, temperature=temperature).sum() for a in log_alpha.values()]
        return sums.loss / jnp.maximum(sums.tokens, 1) + strength * sum(counts)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, batch: Batch, rng: Array, strength):
        trained, (moments, gate_moments) = state
        found, slopes = jax.value_and_grad(total)(trained, batch, rng, strength)
        updates, moments = for_params.update(slopes[0], moments, trained[0])
        gate_updates, gate_moments = for_gates.update(slopes[1], gate_moments)
        trained = optax.apply_updates(trained, (updates, gate_updates))
        return (trained, (moments, gate_moments)), found

    return step, start
