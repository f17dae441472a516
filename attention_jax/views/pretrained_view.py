"""Readings for a view, out of a pretrained model of any kind that reads text."""

from collections.abc import Sequence
from typing import Any

from attention_jax.models.places import PARTS
from attention_jax.views.readings import Attention, Reading

LENGTH = 64
"""the most tokens that are written for a text"""


def read_pretrained(
    pretrained: Any, sentences: Sequence[str], target: str | None = None
) -> Reading:
    """How a pretrained model reads a sentence, or two together, or writes another for it.

    Args:
      pretrained: from `interop.huggingface.load`.
      sentences: one; or, for an encoder, two, read in the way in which it was taught to.
      target: for a model that writes, a text to be written instead of its own.

    Raises:
      ValueError: there are too many sentences, a target that nothing writes, a text is too long for
        the model, or it reads no text.
    """
    from attention_jax.interop import huggingface

    most = 2 if isinstance(pretrained, huggingface.Pretrained) else 1
    if not 1 <= len(sentences) <= most:
        fits = "one or two would fit" if most == 2 else "one would fit, in quotes as a whole"
        raise ValueError(f"found {len(sentences)} sentences; {fits}")
    if isinstance(pretrained, huggingface.PretrainedSeq2Seq):
        return _written(pretrained, sentences[0], target)
    if target is not None:
        raise ValueError("--target is for models that write; this one reads alone")
    if isinstance(pretrained, huggingface.Pretrained):
        from attention_jax.views.gather import read_encoder

        return read_encoder(pretrained, *sentences)
    if not isinstance(pretrained, huggingface.PretrainedDecoder):
        raise ValueError(f"{pretrained.name} is a model of pictures; one of texts would fit")
    names, weights = pretrained.explain(sentences[0])
    attention = Attention("decoder", list(weights), names, names)
    return Reading((attention,), model=pretrained.name, input=sentences[0])


def _written(pretrained: Any, sentence: str, target: str | None) -> Reading:
    """What a model with an encoder does while it writes for a sentence."""
    looked = pretrained.explain(sentence, target, LENGTH)
    ends = {"encoder": (looked.source, looked.source), "decoder": (looked.target, looked.target)}
    ends |= {"cross": (looked.target, looked.source)}
    attentions = tuple(
        Attention(
            part,
            [one for place, one in sorted(looked.weights.items()) if place.part == part],
            *ends[part],
            chosen=() if part == "encoder" else looked.chosen,
        )
        for part in PARTS
    )
    return Reading(attentions, model=pretrained.name, input=sentence, output=looked.text)
