"""Attention as pure JAX functions: imports jax, jaxtyping and the axis letters, nothing else."""

from attention_jax.functional.attend import Plan, attend, explain, plan_attention, weigh
from attention_jax.functional.heads import merge_heads, repeat_groups, split_heads
from attention_jax.functional.masks import (
    Causal,
    Dense,
    Lengths,
    Mask,
    Prefix,
    Segments,
    Window,
    visible,
)
from attention_jax.functional.normalize import softmax
from attention_jax.functional.positions import rotary, sinusoidal
from attention_jax.functional.scores import additive, dot, scaled_dot

__all__ = [
    "Causal",
    "Dense",
    "Lengths",
    "Mask",
    "Plan",
    "Prefix",
    "Segments",
    "Window",
    "additive",
    "attend",
    "dot",
    "explain",
    "merge_heads",
    "plan_attention",
    "repeat_groups",
    "rotary",
    "scaled_dot",
    "sinusoidal",
    "softmax",
    "split_heads",
    "visible",
    "weigh",
]
