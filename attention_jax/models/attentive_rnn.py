"""Recurrent networks that attend: Bahdanau et al. 2015 and Luong et al. 2015.

Both look at all of the source at each step. Bahdanau's decoder looks with the state before the
step, and what it reads goes into the step; Luong's looks with the state after it, and what it reads
goes into the logits and, with input feeding, into the next step.
"""

from attention_jax.models.bahdanau import Bahdanau, BahdanauConfig
from attention_jax.models.luong import Luong, LuongConfig

__all__ = ["Bahdanau", "BahdanauConfig", "Luong", "LuongConfig"]
