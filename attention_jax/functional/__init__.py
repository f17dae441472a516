"""Attention as pure JAX functions: imports jax, jaxtyping and the axis letters, nothing else."""

from attention_jax.functional.attend import attend
from attention_jax.functional.biases import (
    ALiBi,
    Bias,
    DenseBias,
    T5Buckets,
    alibi_slopes,
    relative_buckets,
)
from attention_jax.functional.compressed import (
    CompressedCausal,
    compress,
    compressed_attend,
    compressed_mask,
)
from attention_jax.functional.convolution import convolve, glu
from attention_jax.functional.differential import (
    differential,
    differential_lambda,
    differential_norm,
    differential_weights,
    initial_lambda,
)
from attention_jax.functional.explain import explain
from attention_jax.functional.features import (
    elu_plus_one,
    favor,
    orthogonal_projection,
    relu_features,
)
from attention_jax.functional.heads import gated, merge_heads, repeat_groups, split_heads
from attention_jax.functional.latent import latent_attend
from attention_jax.functional.learned_scores import additive, bilinear, concat, location
from attention_jax.functional.linear import (
    linear_attend,
    linear_state,
    linear_step,
    linear_weights,
    retention_decay,
)
from attention_jax.functional.local import Around, local, predicted_centers
from attention_jax.functional.masks import (
    Causal,
    Dense,
    Dilated,
    Lengths,
    Mask,
    Prefix,
    Segments,
    Window,
    visible,
)
from attention_jax.functional.maxout import maxout
from attention_jax.functional.normalize import sigmoid, softmax
from attention_jax.functional.plan import BACKENDS, Plan, plan_attention
from attention_jax.functional.positions import learned, one_hot, sinusoidal
from attention_jax.functional.recur import recur, turned
from attention_jax.functional.recurrence import elman, gru, gru_before, lstm
from attention_jax.functional.relative import relative, weigh_relative
from attention_jax.functional.rotary import (
    LinearScaling,
    NTKScaling,
    YaRNScaling,
    rotary,
    rotary_frequencies,
)
from attention_jax.functional.scores import capped, cosine, dot, scaled_dot
from attention_jax.functional.slices import grouping, sliced_dot
from attention_jax.functional.sparse import entmax15, hard_max, sparsemax, top_k
from attention_jax.functional.talking import mix_heads, talking, talking_weights
from attention_jax.functional.weigh import weigh

__all__ = [
    "ALiBi",
    "Around",
    "BACKENDS",
    "Bias",
    "Causal",
    "CompressedCausal",
    "Dense",
    "DenseBias",
    "Dilated",
    "Lengths",
    "LinearScaling",
    "Mask",
    "NTKScaling",
    "Plan",
    "Prefix",
    "Segments",
    "T5Buckets",
    "Window",
    "YaRNScaling",
    "additive",
    "alibi_slopes",
    "attend",
    "bilinear",
    "capped",
    "compress",
    "compressed_attend",
    "compressed_mask",
    "concat",
    "convolve",
    "cosine",
    "differential",
    "differential_lambda",
    "differential_norm",
    "differential_weights",
    "dot",
    "elman",
    "elu_plus_one",
    "entmax15",
    "explain",
    "favor",
    "gated",
    "glu",
    "grouping",
    "gru",
    "gru_before",
    "hard_max",
    "initial_lambda",
    "latent_attend",
    "learned",
    "linear_attend",
    "linear_state",
    "linear_step",
    "linear_weights",
    "local",
    "location",
    "lstm",
    "maxout",
    "merge_heads",
    "mix_heads",
    "one_hot",
    "orthogonal_projection",
    "plan_attention",
    "predicted_centers",
    "recur",
    "relative",
    "relative_buckets",
    "relu_features",
    "repeat_groups",
    "retention_decay",
    "rotary",
    "rotary_frequencies",
    "scaled_dot",
    "sigmoid",
    "sinusoidal",
    "sliced_dot",
    "softmax",
    "sparsemax",
    "split_heads",
    "talking",
    "talking_weights",
    "top_k",
    "turned",
    "visible",
    "weigh",
    "weigh_relative",
]
