"""The peer: GPT-2's form in PyTorch eager, as a user of PyTorch would write it.

Pre-layer-norm, learned positions, no biases, one table for tokens and logits,
`scaled_dot_product_attention`, AdamW (`fused`, where torch has it for this device) on matrices
alone, a clipped gradient. Run in processes of their own by `language_step.py`, which measures its
step, and by `shakespeare.py`, which compares what it learns; PyTorch is no dependency of the
package.

Source: Radford et al. 2019; the setting is nanoGPT's, the code is not.
"""

import json
import sys

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, width, heads, inner, dropout):
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.into = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.expand = nn.Linear(width, inner, bias=False)
        self.contract = nn.Linear(inner, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.into(self.first(x)).chunk(3, dim=-1)
        )
        heads = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.dropout(self.out(heads.transpose(1, 2).flatten(2)))
        inner = functional.gelu(self.expand(self.second(x)), approximate="tanh")
        return x + self.dropout(self.contract(inner))


class Language(nn.Module):
    def __init__(self, *, vocabulary, width, layers, heads, feed_forward, context, dropout):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(
            [Block(width, heads, feed_forward, dropout) for _ in range(layers)]
        )
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)
        for block in self.blocks:
            for adding in (block.out, block.contract):
                nn.init.normal_(adding.weight, std=0.02 * (2 * layers) ** -0.5)

    def forward(self, tokens):
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.dropout(self.tokens(tokens) + self.places(places))
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.tokens.weight.T


def make_model(size: dict, dropout: float):
    """The model of one seed, its optimizer, and a function that does one step on a batch."""
    torch.manual_seed(size.get("seed", 0))
    torch.set_num_threads(size["cores"])
    names = ("vocabulary", "width", "layers", "heads", "feed_forward", "context")
    model = Language(**{name: size[name] for name in names}, dropout=dropout).train()
    groups = [
        {"params": [p for p in model.parameters() if (p.ndim > 1) == decayed], "weight_decay": rate}
        for decayed, rate in ((True, 0.1), (False, 0.0))
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=size["fused"])

    def step(tokens, labels) -> float:
        optimizer.zero_grad(set_to_none=True)
        logits = model(tokens)
        loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return model, optimizer, step


def make_step(size: dict, dropout: float, batch: dict):
    """A function that does one training step, always on the same batch, and returns its loss."""
    _, _, step = make_model(size, dropout)
    tokens, labels = (torch.tensor(batch[name]) for name in ("tokens", "labels"))
    how = "fused AdamW" if size["fused"] else "AdamW"
    return lambda: step(tokens, labels), f"torch {torch.__version__} eager, {how}"


def learn(size: dict, file: str) -> None:
    """Trains on the batches of a file at their rates; what held-out rows cost goes beside it.

    The safetensors file holds `tokens` and `labels` [steps, B, T], `rates` [steps], and
    `held_tokens` and `held_labels` [N, T]; FILE.losses gets `losses` [N, T].
    """
    from safetensors.torch import load_file, save_file

    given = load_file(file)
    model, optimizer, step = make_model(size, 0.0)
    for tokens, labels, rate in zip(
        *(given[name].long() for name in ("tokens", "labels")), given["rates"].tolist(), strict=True
    ):
        for group in optimizer.param_groups:
            group["lr"] = rate
        step(tokens, labels)
    model.eval()
    held = (given[f"held_{name}"].long().split(64) for name in ("tokens", "labels"))
    with torch.no_grad():
        losses = [
            functional.cross_entropy(model(tokens).mT, labels, reduction="none")
            for tokens, labels in zip(*held, strict=True)
        ]
    save_file({"losses": torch.cat(losses)}, f"{file}.losses")


if __name__ == "__main__":
    learn(json.loads(sys.argv[1]), sys.argv[2])
