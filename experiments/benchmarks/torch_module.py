"""A peer of attention_module.py: `torch.nn.MultiheadAttention`, which packs its projections."""

import torch

from experiments.benchmarks import inputs
from experiments.benchmarks.attention_module import arrays, kernels
from experiments.benchmarks.bench.prepared import Prepared
from experiments.benchmarks.bench.process import here


def prepare(case: dict) -> Prepared:
    """One call of self-attention; in evaluation mode forward, which is its fast path."""
    torch.set_num_threads(len(here()))
    width, both = case["width"], case["both"]
    module = torch.nn.MultiheadAttention(width, case["heads"], bias=False, batch_first=True)
    given = {name: torch.from_numpy(one).T for name, one in kernels(case).items()}
    with torch.no_grad():
        into = torch.cat([given[name] for name in ("query", "key", "value")])
        module.in_proj_weight.copy_(into)
        module.out_proj.weight.copy_(given["output"])
    module.train(both)
    rows, d_output = (torch.from_numpy(one) for one in arrays(case))

    def call():
        if not both:
            with torch.inference_mode():
                return [module(rows, rows, rows, need_weights=False)[0]]
        module.zero_grad(set_to_none=True)
        leaf = rows.detach().requires_grad_()
        output, _ = module(leaf, leaf, leaf, need_weights=False)
        output.backward(d_output)
        d_key = module.in_proj_weight.grad[width : 2 * width].T
        return [output.detach(), leaf.grad, d_key.contiguous()]

    def look(found):
        return inputs.numbers(one.numpy() for one in found)

    label = f"torch {torch.__version__}, nn.MultiheadAttention"
    return Prepared(call, look, label, ahead=True)
