"""The peer: an LSTM encoder-decoder in PyTorch eager, as a user of PyTorch would write it.

`nn.LSTM` on both sides, the encoder's last states start the decoder, separate tables for source
tokens, target tokens and logits, dropout on embedded tokens, between layers and before the logits,
Adam, label smoothing by `cross_entropy`. Run by `recurrent_step.py` in a process of its own.
"""

import torch
from torch import nn
from torch.nn import functional

from experiments.benchmarks.bench.prepared import Prepared
from experiments.benchmarks.bench.process import here


class Seq2Seq(nn.Module):
    def __init__(self, vocabulary, width, layers, dropout):
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.source_embedding = nn.Embedding(vocabulary, width)
        self.target_embedding = nn.Embedding(vocabulary, width)
        self.encoder, self.decoder = (
            nn.LSTM(width, width, layers, batch_first=True, dropout=between) for _ in range(2)
        )
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(width, vocabulary, bias=False)

    def forward(self, source, target_in):
        _, state = self.encoder(self.dropout(self.source_embedding(source.flip(1))))
        hidden, _ = self.decoder(self.dropout(self.target_embedding(target_in)), state)
        return self.projection(self.dropout(hidden))


def prepare(fields: dict, batch: dict) -> Prepared:
    """One training step."""
    torch.manual_seed(0)
    torch.set_num_threads(len(here()))
    model = Seq2Seq(**fields).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-8)
    source, target_in, target_out = (
        torch.tensor(batch[name]) for name in ("source", "target_in", "target_out")
    )

    def call() -> float:
        optimizer.zero_grad(set_to_none=True)
        logits = model(source, target_in)
        loss = functional.cross_entropy(
            logits.flatten(0, 1), target_out.flatten(), ignore_index=0, label_smoothing=0.1
        )
        loss.backward()
        optimizer.step()
        return loss.item()

    return Prepared(call, lambda loss: [loss], f"torch {torch.__version__}, eager")
