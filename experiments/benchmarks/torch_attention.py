"""The peer of attention.py: PyTorch's flash kernel for CPUs, in the layout that it likes best."""

import torch
from torch.nn.functional import scaled_dot_product_attention

from experiments.benchmarks import inputs
from experiments.benchmarks.bench.prepared import Prepared
from experiments.benchmarks.bench.process import here


def prepare(case: dict) -> Prepared:
    """One call of `scaled_dot_product_attention` on [B, H, T, K]."""
    torch.set_num_threads(len(here()))
    batch, length, heads, features, kind = (
        case[name] for name in ("batch", "length", "heads", "features", "mask")
    )
    shape = batch, length, heads, features
    arrays = [
        torch.from_numpy(inputs.normal(shape, seed)).transpose(1, 2).contiguous()
        for seed in range(3 + case["both"])
    ]
    mask = None
    if kind == "padding":
        counts = torch.tensor(inputs.ragged(batch, length))
        mask = (torch.arange(length) < counts[:, None])[:, None, None, :]
    elif kind == "bias":
        mask = torch.from_numpy(inputs.normal((1, heads, length, length), 9))
    how = {"attn_mask": mask, "is_causal": kind == "causal"}

    def call():
        if not case["both"]:
            with torch.no_grad():
                return [scaled_dot_product_attention(*arrays, **how)]
        leaves = [x.detach().requires_grad_() for x in arrays[:3]]
        output = scaled_dot_product_attention(*leaves, **how)
        output.backward(arrays[3])
        return [output.detach(), *(leaf.grad for leaf in leaves)]

    def look(found):
        return inputs.numbers(x.transpose(1, 2).contiguous().numpy() for x in found)

    return Prepared(call, look, f"torch {torch.__version__}, SDPA", ahead=True)
