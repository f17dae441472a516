"""How much arithmetic a function is: the matrix products of its jaxpr.

All else that a model computes is small beside them, and bound by memory instead.
"""

import math
from typing import Any


def matrix_flops(jaxpr: Any) -> int:
    """Floating-point operations of all matrix products: 2 M N K each, over all devices together.

    Args:
      jaxpr: as `jax.make_jaxpr` gives it. What a scan repeats counts as often as it does, a while
        loop once; of branches the largest counts.
    """
    return sum(_flops(equation) for equation in jaxpr.eqns)


def _flops(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return (
            2
            * math.prod(equation.outvars[0].aval.shape)
            * math.prod(left[axis] for axis in contracted)
        )
    inside = [matrix_flops(each) for each in _jaxprs(params)]
    if name == "cond":
        return max(inside)
    repeats = params["length"] if name == "scan" else 1
    if name == "shard_map":  # what one device does of it
        mesh = params["mesh"]
        repeats = math.prod(mesh.shape[axis] for axis in params.get("manual_axes", mesh.axis_names))
    if name == "pallas_call":
        repeats = math.prod(params["grid_mapping"].grid)
    return repeats * sum(inside)


def _jaxprs(params: dict[str, Any]) -> list[Any]:
    """What an equation calls."""
    found = []
    for value in params.values():
        values = value if isinstance(value, tuple | list) else (value,)
        found += [each for each in values if hasattr(each, "eqns")]
    return found
