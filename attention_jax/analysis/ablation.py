"""What if a head were gone: the loss of a model some of whose heads are silenced.

"Gone" has four meanings, which answer different questions.

- "zero": the head gives nothing. What depended on its mean suffers too.
- "mean": it gives its mean over a data set: only what it says about this sentence is lost.
- "uniform": it reads everything it may see alike: only its choice is lost.
- "resample": it gives what it gives on another sentence: plausible, but about something else.

Sources: Michel et al. 2019, section 3 (zero, and all heads of an attention but one); Wang et al.
2023, "Interpretability in the Wild", section 2.3 (mean); Chan et al. 2022, "Causal Scrubbing"
(resample).
"""

import functools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from attention_jax.data.batches import Batch
from attention_jax.models.places import Head, Place
from attention_jax.models.transformer import TransformerConfig
from attention_jax.training.objective import Objective, translation

Meaning = Literal["zero", "mean", "uniform", "resample"]

Gates = Mapping[Place, Float[Array | np.ndarray, "*B H"]]
"""One number for each head of an attention: 1 leaves it as it is, 0 silences it."""


def loss(graph: nnx.GraphDef, params: Any, batches: Sequence[Batch]) -> float:
    """Negative log-likelihood in nats a token, with all heads."""
    return losses(graph, params, batches, [()])[0]


def losses_without(
    graph: nnx.GraphDef, params: Any, batches: Sequence[Batch], *, meaning: Meaning = "zero", **how
) -> dict[Head, float]:
    """The loss in nats a token with one head gone, for each head; see `losses` for the options.

    Source: Michel et al. 2019, section 3.2.
    """
    heads = config_of(graph, params).every_head()
    removals = [(head,) for head in heads]
    found = losses(graph, params, batches, removals, meaning=meaning, **how)
    return dict(zip(heads, found, strict=True))


def losses_with_only(
    graph: nnx.GraphDef, params: Any, batches: Sequence[Batch], *, meaning: Meaning = "zero", **how
) -> dict[Head, float]:
    """The loss in nats a token with all heads of an attention gone but one, for each head.

    All other attentions keep all of theirs; see `losses` for the options.

    Source: Michel et al. 2019, section 3.3.
    """
    heads = config_of(graph, params).every_head()
    removals = [[o for o in heads if o.place == kept.place and o != kept] for kept in heads]
    found = losses(graph, params, batches, removals, meaning=meaning, **how)
    return dict(zip(heads, found, strict=True))


def losses(
    graph: nnx.GraphDef,
    params: Any,
    batches: Sequence[Any],
    removals: Sequence[Collection[Head]],
    *,
    meaning: Meaning = "zero",
    means: Mapping[Place, Float[Array | np.ndarray, "H K"]] | None = None,
    seed: int = 0,
    together: int = 1,
    objective: Objective = translation,
) -> list[float]:
    """The loss in nats a token, once for each set of heads that are gone.

    Which heads are gone is data: one program serves all sets. Sums are in float64 on the host.

    Args:
      graph: the model's structure.
      params: its parameters.
      batches: what the loss is of; each shape is one program.
      removals: the heads that are gone, one set a loss.
      meaning: what "gone" means; see the module. With "resample" the other sentence is of the same
        batch and passes through the same model. A sentence alone in its batch stays as it is.
      means: for "mean", what `mean_outputs` gave; None takes the means over `batches`.
      seed: for "resample", of which sentence stands in for which.
      together: how many sets are evaluated side by side; more than 1 pays on an accelerator.
      objective: what a batch costs; of another than translations heads can only be zeroed.

    Raises:
      ValueError: there is no such head or meaning, or `batches` hold no token.
    """
    check_meaning(meaning)
    if objective is not translation and meaning != "zero":
        raise ValueError(f"meaning is {meaning!r}; for what is no translation, 'zero' would fit")
    if together < 1:
        raise ValueError(f"together is {together}; it must be at least 1")
    params, config = jax.device_put(params), config_of(graph, params)
    fills: list[Any] = [None] * len(batches)
    if meaning == "mean":
        fills = [mean_outputs(graph, params, batches) if means is None else means] * len(batches)
    if meaning == "resample":
        rng = np.random.default_rng(seed)
        fills = [partners(batch, rng) for batch in batches]
    tokens = math.fsum(float(np.sum(batch.weights, dtype=np.float64)) for batch in batches)
    if not tokens:
        raise ValueError("batches hold no token that counts; one at least would fit")
    evaluate, found = _program(graph, meaning, objective), []
    for at in range(0, len(removals), together):
        chosen = [*removals[at : at + together]]
        filled = chosen + chosen[:1] * (together - len(chosen))  # the program's one shape
        gates = _stacked([without_heads(config, removed) for removed in filled])
        sums = [evaluate(params, *both, gates) for both in zip(batches, fills, strict=True)]
        total = np.sum(np.asarray(jax.device_get(sums), np.float64), axis=0)
        found += [float(nll) / tokens for nll in total[: len(chosen)]]
    return found


def mean_outputs(
    graph: nnx.GraphDef, params: Any, batches: Iterable[Batch]
) -> dict[Place, Float[np.ndarray, "H K"]]:
    """What each head gives on average, over all real positions; padding does not count."""
    evaluate, totals, counts = _mean_program(graph), {}, {}
    params = jax.device_put(params)
    for batch in batches:
        for place, total in jax.device_get(evaluate(params, batch)).items():
            totals[place] = totals.get(place, 0) + total.astype(np.float64)
            count = int(np.sum(_lengths(batch, place)))
            counts[place] = counts.get(place, 0) + count
    return {place: (totals[place] / counts[place]).astype(np.float32) for place in totals}


def without(
    params: Any,
    config: TransformerConfig,
    removed: Collection[Head],
    meaning: Literal["zero", "uniform"] = "zero",
) -> Any:
    """Parameters of the same shapes with which heads are gone; for decoding, for one.

    A head whose rows of the output kernel are zero gives nothing; one whose columns of the query
    kernel are zero finds all keys alike.

    Raises:
      ValueError: there is no such head, or the meaning is not one that parameters can have.
    """
    if meaning not in ("zero", "uniform"):
        raise ValueError(
            f"meaning is {meaning!r}; parameters alone can be 'zero' or 'uniform' "
            "(for 'mean', see attention_jax.analysis.removal)"
        )
    gates = without_heads(config, removed)
    return scaled(params, gates, "output" if meaning == "zero" else "query")


def scaled(params: Any, gates: Gates, kernel: Literal["query", "output"]) -> Any:
    """The parameters with each head's part of a kernel times its gate [H].

    Its part is its columns of the query kernel, or its rows of the output kernel.
    """
    params = jax.tree.map(lambda leaf: leaf, params)  # new dicts, the same arrays
    for place, gate in gates.items():
        layer, name = slot(params, place)
        old = layer[name][kernel]["kernel"]
        axis = 1 if kernel == "query" else 0
        each = jnp.repeat(gate, old.shape[axis] // gate.shape[0]).astype(old.dtype)
        new = old * jnp.expand_dims(each, 1 - axis)
        layer[name][kernel]["kernel"] = new
    return params


def slot(params: Any, place: Place) -> tuple[dict[str, Any], str]:
    """Where an attention's parameters stand: the layer's dict, and their name in it."""
    stack = "encoder" if place.part == "encoder" else "decoder"
    return params[stack][place.layer], "cross" if place.part == "cross" else "attention"


def config_of(graph: nnx.GraphDef, params: Any) -> TransformerConfig:
    """The sizes of the model that a structure is of."""
    return nnx.merge(graph, params).config


def all_heads(config: TransformerConfig) -> dict[Place, Float[np.ndarray, " H"]]:
    """Gates that are all 1, of all attentions that have heads."""
    places = [place for place in config.places() if config.heads_at(place)]
    return {place: np.ones(config.heads_at(place), np.float32) for place in places}


def without_heads(
    config: TransformerConfig, removed: Collection[Head]
) -> dict[Place, Float[np.ndarray, " H"]]:
    """Gates that are 0 for the removed heads and 1 for all others.

    Raises:
      ValueError: there is no such head.
    """
    if unknown := set(removed) - set(config.every_head()):
        part, layer, head = min(unknown)
        fits = {p.layer: config.heads_at(p) for p in config.places() if p.part == part}
        raise ValueError(
            f"there is no head {head} in layer {layer} of {part!r} (both counted from 0); "
            f"heads by layer are {fits}"
        )
    gates = all_heads(config)
    for head in removed:
        gates[head.place][head.head] = 0
    return gates


def check_meaning(meaning: str) -> None:
    """Refuses words that are no `Meaning`."""
    if meaning not in get_args(Meaning):
        raise ValueError(f"meaning is {meaning!r}; one of {', '.join(get_args(Meaning))} would fit")


def partners(batch: Batch, rng: np.random.Generator) -> Int[np.ndarray, " B"]:
    """For each sentence of a batch another of it; for rows of padding, and one alone, itself."""
    rows = np.arange(len(batch.source), dtype=np.int32)
    order = rng.permutation(np.flatnonzero(np.sum(batch.weights, axis=-1)))
    rows[order] = np.roll(order, 1)
    return rows


def _stacked(gates: Sequence[Gates]) -> Gates:
    return jax.tree.map(lambda *each: np.stack(each), *gates)


def _lengths(batch: Batch, place: Place) -> Int[Array, " B"]:
    """Real positions of the queries at a place."""
    seen = batch.source if place.part == "encoder" else batch.weights
    return (seen != 0).sum(-1)


@functools.lru_cache(maxsize=16)
def _program(graph: nnx.GraphDef, meaning: Meaning, objective: Objective):
    """The jitted (params, batch, fill, gates [N, H]) -> nll sums [N], for N sets of gates."""

    @jax.jit
    def evaluate(params: Any, batch: Batch, fill: Any, gates: Gates) -> Float[Array, " N"]:
        def changed(gates: Gates, place: Place, outputs: Float[Array, "B T H K"]):
            stays = gates[place].reshape(1, 1, -1, 1) != 0
            if meaning == "mean":
                instead = fill[place][None, None].astype(outputs.dtype)
            elif meaning == "resample":
                instead = _swapped(outputs, fill, _lengths(batch, place))
            else:
                instead = jnp.zeros_like(outputs)
            return jnp.where(stays, outputs, instead)

        def nll(gates: Gates) -> Float[Array, ""]:
            if meaning == "uniform":
                model, hook = nnx.merge(graph, scaled(params, gates, "query")), None
            else:
                model, hook = nnx.merge(graph, params), functools.partial(changed, gates)
            return objective(model, batch, heads=hook).nll

        return jax.vmap(nll)(gates)

    return evaluate


def _swapped(
    outputs: Float[Array, "B T H K"], rows: Int[Array, " B"], lengths: Int[Array, " B"]
) -> Float[Array, "B T H K"]:
    """What the heads give on other rows, whose real positions repeat as often as needed."""
    positions = jnp.arange(outputs.shape[1])[None] % jnp.maximum(lengths[rows], 1)[:, None]
    return outputs[rows[:, None], positions]


@functools.lru_cache(maxsize=8)
def _mean_program(graph: nnx.GraphDef):
    """The jitted (params, batch) -> each head's sum [H, K] over real positions."""

    @jax.jit
    def evaluate(params: Any, batch: Batch) -> dict[Place, Float[Array, "H K"]]:
        found = {}

        def look(place: Place, outputs: Float[Array, "B T H K"]):
            real = jnp.arange(outputs.shape[1])[None] < _lengths(batch, place)[:, None]
            found[place] = jnp.where(real[..., None, None], outputs, 0).sum((0, 1))
            return outputs

        nnx.merge(graph, params)(batch.source, batch.target_in, heads=look)
        return found

    return evaluate
