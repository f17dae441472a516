"""Readings for a view, out of a trained run or a pretrained encoder."""

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from attention_jax.data import Tokenizer
from attention_jax.data.tokens import END, START
from attention_jax.decoding.trace import Trace, Written, trace
from attention_jax.functional import attend, scaled_dot
from attention_jax.models.places import PARTS, Place
from attention_jax.training import checkpoint
from attention_jax.training.chosen import Which, step_of
from attention_jax.views.readings import Attention, Candidate, Reading

if TYPE_CHECKING:
    from attention_jax.interop.huggingface import Pretrained


class Seen(NamedTuple):
    """What one attention did in one pass."""

    weights: Float[Array, "B H T S"]
    query: Float[Array, "B T H K"] | None = None
    key: Float[Array, "B S G K"] | None = None


def look(call: Callable[..., Any]) -> dict[Place, Seen]:
    """The weights, queries and keys of every attention in one pass of a model.

    Where more than their product decides, as with a bias or learned rows for distances, queries and
    keys are left out: they would not explain the weights.

    The pass runs as it always does: its attentions are watched, not replaced.

    Args:
      call: a model's call that takes the options `explain` and `attend`, such as
        `partial(model, source, target_in)`. Without `attend`, as of recurrent models, there are
        weights alone.
    """
    if "attend" not in inspect.signature(call).parameters:
        return {place: Seen(found) for place, found in call(explain=True)[1].items()}
    watched: list[tuple[Array, Array] | tuple[None, None]] = []

    def watching(query: Array, key: Array, value: Array, **options: Any) -> Array:
        product = options.get("score", scaled_dot) is scaled_dot and options.get("bias") is None
        watched.append((query, key) if product else (None, None))
        return attend(query, key, value, **options)

    _, weights = call(explain=lambda place, weights: weights, attend=watching)
    vectors = iter(watched)
    seen = {}
    for place, found in weights.items():
        if found.shape[1]:
            seen[place] = Seen(found, *next(vectors))
        else:  # all heads were removed: there was nothing to attend with
            rows, _, queries, sources = found.shape
            empty = jnp.zeros((rows, 1, 0, 1))
            seen[place] = Seen(found, jnp.repeat(empty, queries, 1), jnp.repeat(empty, sources, 1))
    # In blocks, or of several tokens at once, vectors are not those of the weights' tokens.
    fit = all(
        (one.query.shape[1], one.key.shape[1]) == one.weights.shape[2:]
        for one in seen.values()
        if one.query is not None and one.key is not None
    )
    return seen if fit else {place: Seen(one.weights) for place, one in seen.items()}


def read_run(
    folder: str | Path,
    sentence: str,
    *,
    which: Which = "best",
    beams: int | None = None,
    hypotheses: int = 1,
    steps: Sequence[int] | None = None,
    target: str | None = None,
    name: str | None = None,
) -> list[Reading]:
    """What a run's model does with a sentence: its translation, the search for it, all attention.

    Args:
      folder: of the run.
      sentence: to translate.
      which: the parameters with the best validation loss, the last ones, or the mean of the last.
      beams: live hypotheses of the search, 1 for greedy search; None: as the run's config has it.
      hypotheses: how many translations are shown, best first; at most as many as beams.
      steps: checkpoints to look at besides, by training step: what each does with the translation
        that `which` found, so that they can be compared.
      target: a translation to read instead of searching for one.
      name: of the model; None for the run's.

    Returns:
      A reading for each hypothesis, or for each checkpoint in the order of training.

    Raises:
      ValueError: the folder holds no run or not that checkpoint, the sentence or the target is
        empty or too long, or several hypotheses and checkpoints are asked for at once.
    """
    from attention_jax.trained import load

    if steps is not None and hypotheses > 1:
        raise ValueError(
            f"found {hypotheses} hypotheses and {len(steps)} checkpoints; several of one kind only "
            "would fit"
        )
    experiment, tokenizer, graph, params = load(folder, which)
    search = experiment.decoding
    source = _encode(tokenizer, sentence, experiment.data.max_length, "the sentence")
    if target is None:
        found = trace(
            graph,
            params,
            source,
            length=search.max_length,
            beams=search.beams if beams is None else beams,
            penalty=search.penalty,
            hypotheses=hypotheses,
        )
    else:
        given = _encode(tokenizer, target, search.max_length, "the target")
        found = Trace([], [Written(given.tolist(), 0.0, [])])
    about = _About(tokenizer, name or experiment.name, sentence, source, found)
    if steps is None:
        moment = f"step {step_of(Path(folder), which):,}"
        moment = "mean of the last checkpoints" if which == "mean" else moment
        return [
            about.reading(graph, params, moment, place) for place in range(len(found.hypotheses))
        ]
    readings = []
    there = checkpoint.finished(Path(folder) / "checkpoints")
    for step in sorted(set(steps)):
        if step not in there:
            raise ValueError(
                f"{folder} has no checkpoint of step {step}; it has {', '.join(map(str, there))}"
            )
        then = checkpoint.read(Path(folder) / "checkpoints" / str(step), params, at="params").state
        readings.append(about.reading(graph, then, f"step {step:,}", 0))
    return readings


def read_encoder(pretrained: "Pretrained", sentence: str, other: str | None = None) -> Reading:
    """How a pretrained encoder reads a sentence, or two together.

    Args:
      pretrained: from `interop.huggingface.load`.
      sentence: to read.
      other: a second sentence behind it, in the way in which the model was taught to read two.

    Raises:
      ValueError: the text is too long for the model.
    """
    encoded = pretrained.encode([sentence], None if other is None else [other])
    seen = jax.device_get(_looking(*nnx.split(pretrained.model, nnx.Param), *encoded))
    names = pretrained.tokens(encoded.tokens[0].tolist())
    attention = attention_of("encoder", seen, names, names)
    text = sentence if other is None else f"{sentence} | {other}"
    return Reading((attention,), model=pretrained.name, input=text)


class _About(NamedTuple):
    """One sentence, and what was written for it."""

    tokenizer: Tokenizer
    model: str
    input: str
    source: np.ndarray
    found: Trace

    def reading(self, graph: nnx.GraphDef, params: Any, moment: str, place: int) -> Reading:
        """What the model with these parameters does while it writes one of the hypotheses."""
        written = self.found.hypotheses[place]
        target_in = np.array([[START, *written.tokens[:-1]]])
        seen = jax.device_get(_looking(graph, params, self.source[None], target_in))
        if not seen:
            raise ValueError(f"{self.model} attends to nothing; a model with attention would fit")
        source = self.tokenizer.tokens(self.source.tolist())
        chosen = self.tokenizer.tokens(written.tokens)
        queries = [*self.tokenizer.tokens([START]), *chosen[:-1]]
        ends = {"encoder": (source, source), "decoder": (queries, queries)}
        ends |= {"cross": (queries, source)}
        if next(iter(seen.values())).weights.shape[2] == len(source) + len(queries):
            seen = _apart(seen, len(source))  # source and target are one sequence
            ends["decoder"] = queries, [*source, *queries]
        attentions = tuple(
            attention_of(part, seen, *ends[part], chosen=() if part == "encoder" else chosen)
            for part in PARTS
            if any(found.part == part for found in seen)
        )
        text = self.tokenizer.decode(written.tokens)
        several = len(self.found.hypotheses) > 1
        return Reading(
            attentions,
            model=self.model,
            moment=moment,
            hypothesis=f"{place + 1}. {text} ({written.score:.3f})" if several else "",
            input=self.input,
            output=text,
            steps=tuple(
                tuple(
                    Candidate(self.tokenizer.tokens([one.token])[0], one.score, one.parent)
                    for one in step
                )
                for step in self.found.steps
            ),
            path=tuple(written.path),
        )


def _apart(seen: dict[Place, Seen], length: int) -> dict[Place, Seen]:
    """What a source's rows do, which see the source alone, and what those of its target do."""
    before, after, found = slice(None, length), slice(length, None), {}
    for place, (weights, query, key) in seen.items():
        of_source = of_target = (None, None)
        if query is not None and key is not None:
            of_source, of_target = (query[:, before], key[:, before]), (query[:, after], key)
        found[Place("encoder", place.layer)] = Seen(weights[:, :, before, before], *of_source)
        found[Place("decoder", place.layer)] = Seen(weights[:, :, after], *of_target)
    return found


def _encode(tokenizer: Tokenizer, text: str, longest: int, name: str) -> np.ndarray:
    ids = tokenizer.encode(text.strip())
    if not text.strip() or not ids:
        raise ValueError(f"{name} is empty; a text would fit")
    if len(ids) >= longest:
        raise ValueError(
            f"{name} has {len(ids) + 1} tokens with its end mark; at most {longest} fit"
        )
    return np.array([*ids, END], np.int32)


def attention_of(
    part: str, seen: dict[Place, Seen], queries: Sequence[str], sources: Sequence[str], **more: Any
) -> Attention:
    """The first row's attentions of one part, in all layers, as a view shows them."""
    layers = [found for place, found in sorted(seen.items()) if place.part == part]
    return Attention(
        part,
        [one.weights[0] for one in layers],
        queries,
        sources,
        query_vectors=_by_head([one.query for one in layers]),
        key_vectors=_by_head([one.key for one in layers]),
        **more,
    )


def _by_head(layers: Sequence[Any]) -> list[np.ndarray]:
    """Each layer's vectors of the first row, heads first; nothing where there are none."""
    return [np.swapaxes(one[0], 0, 1) for one in layers if one is not None]


@functools.partial(jax.jit, static_argnums=0)
def _looking(graph: nnx.GraphDef, params: Any, *inputs: Any) -> dict[Place, Seen]:
    return look(functools.partial(nnx.merge(graph, params), *inputs))
