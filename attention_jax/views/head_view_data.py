"""What the page of a head view is given: tokens as text, numbers as base64 of little-endian bytes.

Where all weights fit, all are given, as the float32 they are. Where they do not, every row keeps
its strongest ones, as exact as before, and the sum of the whole row, so that the page can say how
much of it is shown; a small picture of each head, made of all its weights, stands in for the rest.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from attention_jax.views.readings import Attention, Reading

POOLED = 64
"""queries and sources of a small picture of a head, at most"""

_VECTORS = 1 / 3  # of the room, at most
_ROW = 6  # bytes for how many weights of a row are kept (uint16), and for their sum (float32)
_KEPT = 2**16 - 1  # weights of a row that can be counted


def page_data(
    readings: Sequence[Reading], title: str, start: Mapping[str, Any], megabytes: float
) -> str:
    """JSON of all that is shown, in plain ASCII, without a character that could end its element.

    Args:
      readings: what is shown.
      title: heading of the page.
      start: where the page opens: "kind", "layer", "head", "query" and "other".
      megabytes: how much the numbers may take.

    Returns:
      The text of a `<script type="application/json">`.

    Raises:
      ValueError: not even one weight a row fits.
    """
    room = int(megabytes * 1e6 * 3 / 4)  # base64 writes three bytes as four
    attentions = [one for reading in readings for one in reading.attentions]
    vectors = sum(a.nbytes for one in attentions for a in (*one.query_vectors, *one.key_vectors))
    with_vectors = 0 < vectors <= room * _VECTORS
    layers = [layer for one in attentions for layer in one.weights]
    room -= vectors * with_vectors + sum(_pooled_size(layer.shape) for layer in layers)
    keep = _kept(layers, room, megabytes)
    found = {
        "title": title,
        "start": dict(start),
        "keep": keep,
        "vectorsLeftOut": vectors > 0 and not with_vectors,
        "readings": [_reading(one, keep, with_vectors) for one in readings],
    }
    return json.dumps(found, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _kept(layers: Sequence[Float[np.ndarray, "H T S"]], room: int, megabytes: float) -> int | None:
    """How many weights of a row fit; none where all of all rows do."""
    if sum(layer.nbytes for layer in layers) <= room:
        return None
    longest = max(layer.shape[-1] for layer in layers)
    each = 4 + (2 if longest <= 2**16 else 4)
    rows = np.zeros(longest + 1, np.int64)  # with so many weights above zero
    for layer in layers:
        rows += np.bincount(np.count_nonzero(layer, -1).ravel(), minlength=len(rows))
    # With one more kept, each row that has as many needs room for one more.
    needed = each * np.cumsum(rows[::-1])[::-1][1:].cumsum() + _ROW * rows.sum()
    keep = min(int(np.searchsorted(needed, room, "right")), _KEPT)
    if keep == 0:
        least = (_ROW + each) * rows.sum() * 4 / 3e6
        raise ValueError(
            f"found megabytes={megabytes:g} for {rows.sum():,} rows of weights; {least:.2g}, or "
            "fewer layers or tokens, would fit"
        )
    return keep


def _reading(one: Reading, keep: int | None, vectors: bool) -> dict[str, Any]:
    return {
        "model": one.model,
        "moment": one.moment,
        "hypothesis": one.hypothesis,
        "input": one.input,
        "output": one.output,
        "steps": [[[c.token, _finite(c.score), c.parent] for c in step] for step in one.steps],
        "path": [int(place) for place in one.path],
        "attentions": [_attention(kind, keep, vectors) for kind in one.attentions],
    }


def _attention(one: Attention, keep: int | None, vectors: bool) -> dict[str, Any]:
    layers = [
        _whole(weights) if keep is None else _strongest(weights, keep) for weights in one.weights
    ]
    for layer, weights in zip(layers, one.weights, strict=True):
        if _pooled_size(weights.shape):
            layer["pooled"] = _text(pooled(weights))
    pairs = zip(layers, one.query_vectors, one.key_vectors, strict=False)
    for layer, query, key in pairs if vectors else ():
        layer |= {"groups": key.shape[0], "features": key.shape[-1]}
        layer |= {"query": _text(query), "key": _text(key)}
    return {
        "name": one.name,
        "queries": one.queries,
        "sources": one.sources,
        "chosen": one.chosen,
        "scale": None if one.scale is None else float(one.scale),
        "layers": layers,
    }


def _whole(weights: Float[np.ndarray, "H T S"]) -> dict[str, Any]:
    return {"heads": len(weights), "weights": _text(weights)}


def _strongest(weights: Float[np.ndarray, "H T S"], keep: int) -> dict[str, Any]:
    """The strongest weights above zero of every row, in the order of the sources."""
    keep = min(keep, weights.shape[-1])
    counts, places, values = [], [], []
    for head in weights:
        where = np.argpartition(head, -keep, axis=-1)[:, -keep:]
        where.sort(axis=-1)
        found = np.take_along_axis(head, where, axis=-1)
        counts.append(np.count_nonzero(found, -1))
        places.append(where[found > 0])
        values.append(found[found > 0])
    small = np.uint16 if weights.shape[-1] <= 2**16 else np.uint32
    empty = [np.zeros(0)]
    return {
        "heads": len(weights),
        "counts": _text(np.concatenate(counts or empty).astype(np.uint16)),
        "sources": _text(np.concatenate(places or empty).astype(small)),
        "weights": _text(np.concatenate(values or empty).astype(np.float32)),
        "totals": _text(weights.sum(-1, dtype=np.float64).astype(np.float32)),
    }


def pooled(weights: Float[np.ndarray, "H T S"]) -> UInt8[np.ndarray, "H P Q"]:
    """A small picture of each head: what a block of queries gives to a block of sources on average.

    Args:
      weights: of all heads of a layer.

    Returns:
      The square roots, from 0 to 255; at most `POOLED` blocks of queries and of sources, block i of
      P beginning at i·T//P.
    """
    _, queries, sources = weights.shape
    rows, columns = (np.arange(min(n, POOLED)) * n // min(n, POOLED) for n in (queries, sources))
    sizes = np.diff(rows, append=queries)
    found = np.add.reduceat(np.add.reduceat(weights, columns, axis=2), rows, axis=1)
    return np.rint(255 * np.sqrt(np.minimum(found / sizes[:, None], 1))).astype(np.uint8)


def _pooled_size(shape: tuple[int, ...]) -> int:
    heads, queries, sources = shape
    if max(queries, sources) <= POOLED:
        return 0
    return heads * min(queries, POOLED) * min(sources, POOLED)


def _finite(score: float) -> float | None:
    """JSON has no infinity."""
    return float(score) if math.isfinite(score) else None


def _text(found: np.ndarray) -> str:
    """Bytes as text, little-endian as all browsers read them."""
    little = found.astype(found.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(np.ascontiguousarray(little).data).decode("ascii")
