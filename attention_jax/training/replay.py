"""A batch that went wrong, once more: the very batch, on the very state, with the same dropout."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from attention_jax.data import Batch, Tokenizer
from attention_jax.training import checkpoint
from attention_jax.training.loss import smoothed_cross_entropy
from attention_jax.training.manifest import read_manifest
from attention_jax.training.programs import Programs
from attention_jax.training.step import State, dropout_key, mean_loss

_SHOWN = 5  # names and rows that the account lists


def replay(
    folder: str | Path,
    programs: Programs,
    tokenizer: Tokenizer,
    *,
    smoothing: float,
    rng: str,
    step: int | None = None,
) -> dict[str, Any]:
    """What is not finite in the loss and the gradient of a batch that training has put aside.

    So that the cause is found where it is: in weights that were bad already, in rows of the data,
    in dropout, in the gradient alone, or in a dtype too narrow.

    Args:
      folder: of the run; its bad/ holds what was put aside.
      programs: of the run's model.
      tokenizer: of the run.
      smoothing: of the training labels.
      rng: generator of the dropout stream.
      step: which of those put aside; None takes the newest.

    Returns:
      A record fit for JSON, whose numbers that JSON has no word for are strings: "nan", "inf".

    Raises:
      ValueError: nothing is put aside, or not this step; it is damaged or another model's.
    """
    step = _chosen(Path(folder) / "bad", step)
    state, batch, recorded = _read(Path(folder) / "bad" / str(step), programs.structs)
    loss_of = mean_loss(programs.graph, smoothing=smoothing)

    @jax.jit
    def look(params: Any, key: Any) -> tuple[Any, ...]:
        (loss, _), gradient = jax.value_and_grad(loss_of, has_aux=True)(params, batch, key)
        logits = nnx.merge(programs.graph, params)(batch.source, batch.target_in, rng=key)
        by_row = jax.vmap(partial(smoothed_cross_entropy, smoothing=smoothing))
        rows = by_row(logits, jnp.asarray(batch.target_out), jnp.asarray(batch.weights))
        seen, fine = jnp.asarray(batch.weights != 0)[..., None], jnp.isfinite(logits)
        # Of the finite ones: XLA's maximum on CPUs may pass a NaN over.
        largest = jnp.max(jnp.where(seen & fine, jnp.abs(logits), -1))  # -1: none is
        bad = jnp.sum(seen & ~fine)
        return loss, gradient, optax.tree.norm(gradient), rows.loss, largest, bad

    @jax.jit
    def finite(params: Any, key: Any) -> Any:
        return jnp.isfinite(loss_of(params, batch, key)[0])

    key = dropout_key(state, rng)
    loss, gradient, norm, rows, largest, bad = jax.device_get(look(state.params, key))
    narrow = any(leaf.dtype != np.float32 for leaf in jax.tree.leaves(state.params))
    return {
        "step": step,
        "recorded": recorded,
        "finite": bool(np.isfinite(loss) and np.isfinite(norm)),
        "loss": _number(loss),
        "gradient_norm": _number(norm),
        "largest_parameter": _largest(state.params),
        "largest_logit": float(largest) if largest >= 0 else None,
        "bad_logits": int(bad),
        "parameters": _bad_leaves(state.params),
        "moments": _bad_leaves(state.optimizer),
        "gradients": _bad_leaves(gradient),
        "rows": [
            {
                "row": int(row),
                "loss": _number(rows[row]),
                "source": _text(tokenizer, batch.source[row]),
                "target": _text(tokenizer, batch.target_out[row]),
            }
            for row in np.flatnonzero(~np.isfinite(rows))
        ],
        "finite_without_dropout": bool(finite(state.params, None)),
        "finite_in_float32": bool(finite(_widened(state.params), key)) if narrow else None,
    }


def account(found: dict[str, Any]) -> str:
    """What `replay` found, in a few lines for a reader."""
    recorded, rows = found["recorded"], found["rows"]
    lines = [
        f"step {found['step']}: in training the loss was {recorded['loss']} and the gradient's "
        f"norm {recorded['gradient_norm']}; here {found['loss']} and {found['gradient_norm']}"
    ]
    if found["finite"]:
        lines.append("finite here: another machine, or another version, computes otherwise")
    for name, said in (
        ("parameters", "parameters that were not finite before this batch"),
        ("moments", "the optimizer's moments that were not finite before this batch"),
        ("gradients", "gradients that are not finite"),
    ):
        leaves = [f"{leaf['name']} ({leaf['bad']} of {leaf['of']})" for leaf in found[name]]
        lines += [f"{said}: {_listed(leaves)}"] if leaves else []
    if not found["gradients"] and not found["finite"] and not rows:
        lines.append("every row's loss and every gradient is finite, but not their sum or norm")
    if rows:
        lines.append(f"rows whose own loss is not finite: {len(rows)}")
        # As Python writes text: what stands in data must not steer a terminal.
        lines += [
            f"  {row['row']}: {row['source']!r} -> {row['target']!r}" for row in rows[:_SHOWN]
        ]
        lines += [f"  and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
    if (largest := found["largest_parameter"]) is not None:
        lines.append(f"largest |parameter|: {largest['value']:.3g}, in {largest['name']}")
    beside = f"; {found['bad_logits']} are not finite" if found["bad_logits"] else ""
    logit = "none" if found["largest_logit"] is None else f"{found['largest_logit']:.3g}"
    lines.append(f"largest |logit|: {logit}{beside}")
    for name, said in (("without_dropout", "without dropout"), ("in_float32", "in float32")):
        if (finite := found[f"finite_{name}"]) is not None:
            lines.append(f"{said} the loss is {'finite' if finite else 'not finite either'}")
    return "\n".join(lines)


def _chosen(folder: Path, step: int | None) -> int:
    steps = checkpoint.finished(folder)
    if not steps:
        raise ValueError(f"{folder} holds no batch: none was put aside")
    if step is not None and step not in steps:
        there = ", ".join(map(str, steps))
        raise ValueError(f"{folder} has no batch of step {step}; there is: {there}")
    return steps[-1] if step is None else step


def _read(folder: Path, structs: State) -> tuple[State, Batch, dict[str, Any]]:
    """The state before the batch, the batch, and what training found."""
    leaves = read_manifest(folder).leaves
    names = [f"batch.{name}" for name in Batch._fields]
    if not set(names) <= set(leaves):
        raise ValueError(f"{folder} holds no batch that was put aside")
    shapes = [jax.ShapeDtypeStruct(leaves[name].shape, leaves[name].dtype) for name in names]
    batch = dict(zip(Batch._fields, shapes, strict=True))
    found, record = checkpoint.read(folder, {"state": structs, "batch": batch})
    return found["state"], Batch(**found["batch"]), record


def _bad_leaves(tree: Any) -> list[dict[str, Any]]:
    """The leaves that are not finite: their names, and how many of how many numbers."""
    found = []
    for name, leaf in checkpoint.flatten(tree).items():
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            bad = int((~np.isfinite(leaf)).sum())
            found += [{"name": name, "bad": bad, "of": int(np.size(leaf))}] if bad else []
    return found


def _largest(params: Any) -> dict[str, Any] | None:
    """The parameter that is farthest from 0, of those that are finite."""
    sizes = {
        name: float(np.max(np.abs(leaf), where=np.isfinite(leaf), initial=0))
        for name, leaf in checkpoint.flatten(params).items()
    }
    name = max(sizes, key=sizes.__getitem__, default=None)
    return None if name is None else {"name": name, "value": sizes[name]}


def _widened(tree: Any) -> Any:
    return jax.tree.map(
        lambda leaf: leaf.astype(np.float32) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf,
        tree,
    )


def _number(value: Any) -> float | str:
    return float(value) if math.isfinite(value) else str(float(value))


def _text(tokenizer: Tokenizer, ids: np.ndarray) -> str:
    try:
        return tokenizer.decode(ids.tolist())
    except ValueError as error:  # a number outside the vocabulary, which may be the cause
        return str(error)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
