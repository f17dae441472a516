"""The peer: the same encoder-decoder in PyTorch eager, as a user of PyTorch would write it.

Post-layer-norm, no biases in the attention projections, one embedding table for both sides and the
logits, `scaled_dot_product_attention`, Adam, label smoothing by `cross_entropy`; or with what
PyTorch offers to be faster. Run by `training_step.py` in a process of its own.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from experiments.benchmarks.bench.prepared import Prepared
from experiments.benchmarks.bench.process import here


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )

    def forward(self, x, source, mask=None, causal=False):
        def split(rows):
            return rows.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(source)), split(self.value(source))
        heads = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=causal
        )
        return self.output(heads.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, width, heads, inner, dropout, decoder):
        super().__init__()
        self.attention = Attention(width, heads)
        self.cross = Attention(width, heads) if decoder else None
        self.feed_forward = nn.Sequential(
            nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width)
        )
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3 if decoder else 2)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask, memory=None):
        causal = memory is not None
        read = self.attention(x, x, None if causal else mask, causal)
        x = self.norms[0](x + self.dropout(read))
        if self.cross is not None:
            x = self.norms[1](x + self.dropout(self.cross(x, memory, mask)))
        return self.norms[-1](x + self.dropout(self.feed_forward(x)))


class Transformer(nn.Module):
    def __init__(self, *, vocabulary, width, encoder_layers, decoder_layers, heads, feed_forward,
                 dropout, length):  # fmt: skip
        super().__init__()
        self.table = nn.Parameter(torch.randn(vocabulary, width) * width**-0.5)
        sizes = (width, heads, feed_forward, dropout)
        self.encoder = nn.ModuleList([Layer(*sizes, False) for _ in range(encoder_layers)])
        self.decoder = nn.ModuleList([Layer(*sizes, True) for _ in range(decoder_layers)])
        for layer in (*self.encoder, *self.decoder):
            for parameter in layer.parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)
        self.dropout = nn.Dropout(dropout)
        angle = torch.arange(length)[:, None] * torch.exp(
            torch.arange(0, width, 2) * (-math.log(10_000.0) / width)
        )
        self.register_buffer("positions", torch.stack([angle.sin(), angle.cos()], -1).flatten(1))

    def embed(self, tokens):
        x = functional.embedding(tokens, self.table) * self.table.shape[1] ** 0.5
        return self.dropout(x + self.positions[: tokens.shape[1]])

    def forward(self, source, target_in):
        mask = (source != 0)[:, None, None, :]
        memory = self.embed(source)
        for layer in self.encoder:
            memory = layer(memory, mask)
        x = self.embed(target_in)
        for layer in self.decoder:
            x = layer(x, mask, memory)
        return x @ self.table.T


def prepare(contender: str, fields: dict, batch: dict) -> Prepared:
    """One training step: "torch", or with "fused" Adam, under "compile", or in "bfloat16"."""
    torch.manual_seed(0)
    torch.set_num_threads(len(here()))
    how = contender.removeprefix("torch").strip()
    length = len(batch["source"][0])
    model = Transformer(**fields, length=length).train()
    # All but plain eager have what PyTorch offers to tune: one kernel for Adam.
    fused = {"fused": True} if how else {}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-8, **fused)
    source, target_in, target_out = (
        torch.tensor(batch[name]) for name in ("source", "target_in", "target_out")
    )
    run = torch.compile(model) if how == "compile" else model

    def call() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=how == "bfloat16"):
            logits = run(source, target_in)
            loss = functional.cross_entropy(
                logits.flatten(0, 1), target_out.flatten(), ignore_index=0, label_smoothing=0.1
            )
        loss.backward()
        optimizer.step()
        return loss.item()

    label = {"": "eager", "fused": "eager, fused Adam", "compile": "torch.compile, fused Adam",
             "bfloat16": "eager, fused Adam, autocast to bfloat16"}[how]  # fmt: skip
    return Prepared(call, lambda loss: [loss], f"torch {torch.__version__}, {label}")
