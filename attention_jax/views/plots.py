"""Pictures for notebooks and papers: `aj.plots.heat_map(weights, queries, sources)`.

Every function takes plain arrays and strings and returns a figure that a notebook shows; `file=`
also writes it. All have one style, for light and dark paper, readable in grey.
"""

from attention_jax.views.attention_maps import attention_maps as layers
from attention_jax.views.comparison_plots import learning_curves
from attention_jax.views.figure import save
from attention_jax.views.head_map import head_map
from attention_jax.views.heat_maps import heat_map, heat_maps
from attention_jax.views.line_plots import bars, lines
from attention_jax.views.mask_plots import mask, masks, positions

__all__ = [
    "bars",
    "head_map",
    "heat_map",
    "heat_maps",
    "layers",
    "learning_curves",
    "lines",
    "mask",
    "masks",
    "positions",
    "save",
]
