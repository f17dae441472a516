"""Functions and steps over many devices: replicated (pmap), on meshes, around rings.

From a notebook: `aj.parallel.replicate.attend(…, over="heads")`, and
`aj.parallel.sequence.attend(…, mesh=aj.parallel.Layout(sequence=8).mesh())`.
"""

from attention_jax.parallel import replicate, sequence
from attention_jax.parallel.layout import Layout

__all__ = ["Layout", "replicate", "sequence"]
