"""How many matrix products stand one behind the other, and how far a signal travels.

Both are counted from the program that JAX traced, product by product and number by number, not
from a formula: `longest_chain` is what no parallel machine can do at once (Vaswani's "sequential
operations"), `shortest_path` how many products lie between one input and each output (its "path
length"). Only matrix products count: all else is cheap beside them, and often fused into them. On
a shortest path a step of a recurrence counts as one too, since the memory of an LSTM goes from one
to the next without a product.

Paths run through real numbers alone. That a mask or a length is counted from tokens is no path: no
gradient takes it.

Source: Hochreiter et al. 2001 and Vaswani et al. 2017, section 4 and table 1.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.extend.core import Literal

Join = Callable[..., Any]
"""np.minimum or np.maximum: which of several chains counts"""

Settings = dict[str, Any]

MOVES: dict[str, Callable[..., Any]] = {
    "broadcast_in_dim": lambda x, s: np.broadcast_to(_spread(x, s), s["shape"]),
    "concatenate": lambda *x, s: np.concatenate(x, s["dimension"]),
    "copy": lambda x, s: x,
    "name": lambda x, s: x,
    "reshape": lambda x, s: np.reshape(x, s["new_sizes"]),
    "rev": lambda x, s: np.flip(x, s["dimensions"]),
    "slice": lambda x, s: x[
        tuple(map(slice, s["start_indices"], s["limit_indices"], s["strides"] or [1] * np.ndim(x)))
    ],
    "split": lambda x, s: np.split(x, np.cumsum(s["sizes"])[:-1], s["axis"]),
    "squeeze": lambda x, s: np.squeeze(x, s["dimensions"]),
    "stack": lambda *x, s: np.stack(x, s["axis"]),
    "transpose": lambda x, s: np.transpose(x, s["permutation"]),
}
"""primitives that put numbers elsewhere: what they do to numbers they do to their chains"""

LOOKING = {"dynamic_slice", "dynamic_update_slice", "gather", "pad"}
"""the same, by numbers that are computed: JAX itself does these"""

REDUCING = {"reduce_max", "reduce_min", "reduce_prod", "reduce_sum"}

EACH = {
    "abs", "add", "add_any", "convert_element_type", "cos", "div", "eq",
    "erf", "exp", "exp2", "expm1", "ge", "gt", "integer_pow", "is_finite", "le", "log", "log1p",
    "logistic", "lt", "max", "min", "mul", "ne", "neg", "pow", "rsqrt", "sign", "sin", "sqrt",
    "square", "stop_gradient", "sub", "tanh", "and", "or", "not", "rem", "optimization_barrier",
}  # fmt: skip
"""primitives that work number by number"""


def longest_chain(function: Callable[..., Any], *args: Any) -> int:
    """The most matrix products of which each needs the one before, in one call.

    Args:
      function: of arrays to arrays; it is traced, and then run operation by operation.
      *args: trees of arrays.

    Raises:
      ValueError: the program has a primitive that this does not know.
    """
    leaves, treedef = jax.tree.flatten(args)
    far = [np.zeros(np.shape(leaf), np.float32) for leaf in leaves]
    found = _trace(function, leaves, treedef, far, np.maximum)
    return int(max((np.max(one, initial=0) for one in found), default=0))


def shortest_path(function: Callable[..., Any], args: Sequence[Any], marked: Sequence[Any]) -> Any:
    """Between what is marked and each number of the output, the fewest products and steps.

    Args:
      function: of arrays to arrays.
      args: trees of arrays.
      marked: the same trees of Boolean arrays: where paths begin.

    Returns:
      The tree of the output, of float32 arrays; infinite where no path leads.

    Raises:
      ValueError: the program has a primitive that this does not know.
    """
    leaves, treedef = jax.tree.flatten(tuple(args))
    far = [np.where(one, 0, np.inf).astype(np.float32) for one in jax.tree.leaves(tuple(marked))]
    shape = jax.eval_shape(function, *args)
    found = _trace(function, leaves, treedef, far, np.minimum)
    return jax.tree.unflatten(jax.tree.structure(shape), found)


def counts(graph: nnx.GraphDef, params: Any, length: int) -> dict[str, int | None]:
    """How many products a translator does one after the other, and how far positions lie apart.

    Every position has a token of its own, so that a path can begin at one of them. Each side needs
    its own table of embeddings (`tied=False`): through a shared one, tokens of the source would
    reach the logits directly.

    Args:
      graph: the model's structure.
      params: its parameters, for 2·length + 3 tokens at least.
      length: of the source and of the target.

    Returns:
      "chain": the longest chain of products from tokens to logits; "source": the longest of the
      shortest paths from the first, middle or last source position to the logits of a target
      position; "target": the same from the first target position. None where some position is not
      reached at all.

    Raises:
      ValueError: the model is tied, or has too few tokens.
    """
    tokens = len(params["source_embedding"]["table"])
    if "target_embedding" not in params or tokens < 2 * length + 3:
        raise ValueError(
            f"the model is tied or has {tokens} tokens; tied=False and {2 * length + 3} would fit"
        )
    source, target = np.arange(3, 3 + 2 * length, dtype=np.int32).reshape(2, 1, length)

    def logits(params):
        return nnx.merge(graph, params)(source, target)

    def reach(part: str, token: int) -> float:
        marked = jax.tree.map(lambda leaf: np.zeros(leaf.shape, bool), params)
        marked[f"{part}_embedding"]["table"][token] = True
        return float(shortest_path(logits, [params], [marked]).min(-1).max())

    starts = dict.fromkeys((0, length // 2, length - 1))
    found = {
        "source": max(reach("source", int(source[0, at])) for at in starts),
        "target": reach("target", int(target[0, 0])),
    }
    seen = {name: int(far) if math.isfinite(far) else None for name, far in found.items()}
    return {"chain": longest_chain(logits, params)} | seen


def _trace(function, leaves, treedef, far, join: Join) -> list[np.ndarray]:
    program = jax.make_jaxpr(lambda *flat: function(*jax.tree.unflatten(treedef, flat)))(*leaves)
    run = _Run(join)
    ins = [one if _real(leaf) else np.asarray(leaf) for leaf, one in zip(leaves, far, strict=True)]
    return run.closed(program, ins)


class _Run:
    """Runs a program with chains in place of real numbers, as numpy arrays.

    Whole numbers and Booleans keep their values, which say where numbers go; they are None where
    they depend on real ones.
    """

    def __init__(self, join: Join):
        self.join = join
        self.nothing = np.float32(0 if join is np.maximum else np.inf)
        self.step = np.float32(0 if join is np.maximum else 1)

    def closed(self, program, ins: Sequence[Any]) -> list[Any]:
        """What a program makes of its arguments."""
        jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
        known = dict(zip(jaxpr.constvars, map(self._constant, constants), strict=True))
        known |= zip(jaxpr.invars, ins, strict=True)

        def read(atom):
            return self._constant(atom.val) if isinstance(atom, Literal) else known[atom]

        for equation in jaxpr.eqns:
            outs = self._equation(equation, [read(atom) for atom in equation.invars])
            known |= zip(equation.outvars, outs, strict=True)
        return [read(atom) for atom in jaxpr.outvars]

    def _constant(self, x: Any) -> np.ndarray:
        return np.full(np.shape(x), self.nothing) if _real(x) else np.asarray(x)

    def _equation(self, equation, ins: list) -> list:
        primitive, settings = equation.primitive, equation.params
        name = primitive.name
        if name == "scan":
            return self._scan(equation, ins)
        if name == "cond" and ins[0] is not None:
            return self.closed(settings["branches"][int(ins[0])], ins[1:])
        inner = settings.get("call_jaxpr", settings.get("jaxpr"))
        if inner is not None:
            return self.closed(inner, ins)
        real = [_real(atom.aval) for atom in equation.invars]
        if not any(_real(atom.aval) for atom in equation.outvars):
            outs = equation.outvars
            if any(real) or any(one is None for one in ins):
                return [None] * len(outs)
            found = primitive.bind(*ins, **settings)
        else:
            found = self._chains(
                equation, ins, [one for one, is_ in zip(ins, real, strict=True) if is_]
            )
        return [np.asarray(one) for one in (found if isinstance(found, list | tuple) else [found])]

    def _chains(self, equation, ins: list, reals: list[np.ndarray]) -> Any:
        """The chains of an operation's real numbers."""
        name, settings = equation.primitive.name, equation.params
        shape = equation.outvars[0].aval.shape
        if name == "dot_general":
            return self._product(settings["dimension_numbers"], *reals) + 1
        if name in MOVES:
            return MOVES[name](*ins, s=settings)
        if name in LOOKING and not any(one is None for one in ins):
            return equation.primitive.bind(*ins, **settings)
        if name in REDUCING:
            return self.join.reduce(reals[0], axis=tuple(settings["axes"]), initial=self.nothing)
        if name == "select_n" and ins[0] is not None:
            which = np.broadcast_to(ins[0].astype(int), shape)
            return np.choose(which, reals)
        if name in EACH or name == "select_n" or not reals:
            return np.broadcast_to(functools.reduce(self.join, reals, self.nothing), shape)
        raise ValueError(f"the program has {name}, and what it does to paths is not known")

    def _product(self, dimensions, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """What reaches each number of a product, from either side."""
        contracted, batch = dimensions
        sides = []
        for side, summed, kept in zip((left, right), contracted, batch, strict=True):
            free = [at for at in range(side.ndim) if at not in (*summed, *kept)]
            ordered = np.transpose(side, (*kept, *free, *summed))
            axes = tuple(range(len(kept) + len(free), side.ndim))
            sides.append((self.join.reduce(ordered, axis=axes, initial=self.nothing), len(free)))
        (left, free), (right, others) = sides
        shared = left.ndim - free
        left = left.reshape(*left.shape, *[1] * others)
        right = right.reshape(*right.shape[:shared], *[1] * free, *right.shape[shared:])
        return self.join(left, right)

    def _scan(self, equation, ins: list) -> list:
        settings = equation.params
        body = getattr(settings["jaxpr"], "jaxpr", settings["jaxpr"])
        # What is cut into steps has one axis more outside: releases of JAX name the counts apart.
        cut = _fewer_axes(equation.invars, body.invars)
        carried = len(equation.outvars) - _fewer_axes(equation.outvars, body.outvars)
        fixed = len(ins) - cut - carried
        state, rows = ins[fixed : fixed + carried], []
        places = range(settings["length"])
        for at in reversed(places) if settings["reverse"] else places:
            if rows:
                state = [
                    self._further(one, out.aval)
                    for one, out in zip(state, body.outvars, strict=False)
                ]
            here = (one if one is None else one[at] for one in ins[fixed + carried :])
            outs = self.closed(settings["jaxpr"], [*ins[:fixed], *state, *here])
            state = outs[:carried]
            rows.append(outs[carried:])
        if settings["reverse"]:
            rows.reverse()
        stacked = (
            None if any(one is None for one in column) else np.stack(column)
            for column in zip(*rows, strict=True)
        )
        return [*state, *stacked]

    def _further(self, one: Any, aval: Any) -> Any:
        return one + self.step if _real(aval) else one


def _real(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.floating)


def _spread(x: np.ndarray, settings: Settings) -> np.ndarray:
    """With axes of size 1 where `broadcast_in_dim` makes new ones."""
    shape = [1] * len(settings["shape"])
    for size, at in zip(np.shape(x), settings["broadcast_dimensions"], strict=True):
        shape[at] = size
    return np.reshape(x, shape)


def _fewer_axes(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    return sum(one.aval.ndim > other.aval.ndim for one, other in zip(outside, inside, strict=True))
