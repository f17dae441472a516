"""PyTorch's recurrent cells and layers: run by `test_recurrent_peers.py`, by a Python with torch.

Command: python torch_recurrent_peer.py QUESTIONS.json ANSWERS.json

A question is a dict of nested lists: torch's own parameters, `x`, the initial `hidden` and, of an
LSTM, `cell`, what the answers are multiplied by (`pull`, `pull_hidden`, `pull_cell`), and, of
layers, `lengths`. An answer has the outputs and, as `d_...`, the gradient by each array.
"""

import json
import sys

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

CELLS = {"elman": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}
STACKS = {"elman": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


def as_state(hidden, cell):
    return hidden if cell is None else (hidden, cell)


def one_step(kind, weights, x, state):
    module = CELLS[kind](x.shape[-1], weights["weight_hh"].shape[-1])
    state = torch.func.functional_call(module, weights, (x, state))
    return (state[0] if isinstance(state, tuple) else state), state


def all_steps(kind, weights, x, state, lengths):
    width = weights["weight_hh_l0"].shape[-1]
    both = "weight_hh_l0_reverse" in weights
    layers = len(weights) // 4 // (1 + both)
    stack = STACKS[kind](x.shape[-1], width, layers, batch_first=True, bidirectional=both)
    if lengths is not None:
        x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    output, state = torch.func.functional_call(stack, weights, (x, state))
    return (output if lengths is None else pad_packed_sequence(output, batch_first=True)[0]), state


def answer(question):
    kind, lengths = question.pop("kind"), question.pop("lengths", None)
    tensors = {name: torch.tensor(rows) for name, rows in question.items()}
    pulls = {name: x for name, x in tensors.items() if name.startswith("pull")}
    learned = {name: x.requires_grad_() for name, x in tensors.items() if name not in pulls}
    weights = {name: x for name, x in learned.items() if name.startswith(("weight", "bias"))}
    x, state = learned["x"], as_state(learned["hidden"], learned.get("cell"))
    if "weight_hh" in weights:
        output, final = one_step(kind, weights, x, state)
    else:
        output, final = all_steps(kind, weights, x, state, lengths)
    final = dict(
        zip(("hidden", "cell"), final if isinstance(final, tuple) else (final,), strict=False)
    )
    value = (output * pulls["pull"]).sum()
    value += sum((part * pulls[f"pull_{name}"]).sum() for name, part in final.items())
    value.backward()
    found = {"output": output} | final | {f"d_{name}": x.grad for name, x in learned.items()}
    return {name: x.tolist() for name, x in found.items()}


def main(questions, answers):
    with open(questions) as file:
        asked = json.load(file)
    with open(answers, "w") as file:
        json.dump({name: answer(question) for name, question in asked.items()}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
