"""Recurrence as loops over rows, positions and gates, in NumPy float64, from the equations."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elman(x, h, weights):
    return np.tanh(x + h @ weights["u"])


def gru(x, h, weights, before=False):
    width = len(h)
    x = [x[i * width : (i + 1) * width] for i in range(3)]
    u = [weights["u"][:, i * width : (i + 1) * width] for i in range(3)]
    reset, update = sigmoid(x[0] + h @ u[0]), sigmoid(x[1] + h @ u[1])
    behind = reset * (h @ u[2] + weights.get("shift", 0))
    new = np.tanh(x[2] + ((reset * h) @ u[2] if before else behind))
    return update * h + (1 - update) * new


def gru_before(x, h, weights):
    return gru(x, h, weights, before=True)


def lstm(x, state, weights):
    h, c = state
    width = len(h)
    gates = x + h @ weights["u"]
    write, keep, new, read = (gates[i * width : (i + 1) * width] for i in range(4))
    c = sigmoid(keep) * c + sigmoid(write) * np.tanh(new)
    return sigmoid(read) * np.tanh(c), c


CELLS = {"elman": (elman, 1), "gru": (gru, 3), "gru_before": (gru_before, 3), "lstm": (lstm, 4)}
"""Each cell, and how many gates it has."""


def recur(cell, inputs, state, weights, *, lengths=None, starts=None, reverse=False):
    """(final state, outputs) of rows of `inputs` [B, T, F]; of an LSTM `state` is a pair."""
    step, _ = CELLS[cell]
    pair = isinstance(state, tuple)
    inputs = np.asarray(inputs, np.float64)
    first = [np.asarray(part, np.float64) for part in (state if pair else (state,))]
    rows, steps = inputs.shape[:2]
    outputs = np.zeros((rows, steps, first[0].shape[1]))
    final = [np.zeros_like(part) for part in first]
    for row in range(rows):
        length = steps if lengths is None else lengths[row]
        at_start = tuple(part[row] for part in first)
        now = at_start
        order = range(length)
        for t in reversed(order) if reverse else order:
            begins = starts is not None and (
                (t + 1 < steps and starts[row, t + 1]) if reverse else starts[row, t]
            )
            now = at_start if begins else now
            after = step(inputs[row, t], now if pair else now[0], weights)
            now = after if pair else (after,)
            outputs[row, t] = now[0]
        for part, value in zip(final, now, strict=True):
            part[row] = value
    return (tuple(final) if pair else final[0]), outputs
