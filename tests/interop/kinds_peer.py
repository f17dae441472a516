"""Models that write, by Hugging Face's transformers: run by `test_kinds_peers.py`, by its Python.

Command: python kinds_peer.py QUESTIONS.json ANSWERS.safetensors

A question is an object by name: `architecture`, `folder`, and `config` to make a model of random
numbers, which is saved in the folder, or null to read the one there, and, where `again` names
another folder, to save it there. `tokens` and `mask`, [B, S], go in, once filled up in front and
once behind; `target`, [B, T], into a decoder that stands behind an encoder; `length` is how many
tokens to write, 0 for a model that gives features alone. Instead, `pixels` go into a model of
pictures. Answers by NAME/left/ and NAME/right/: `logits`; by NAME/ alone: `written`, the tokens of
greedy search, -1 where a row has ended. What a folder lacked or had too much is in the answers'
metadata.
"""

import json
import sys

import torch
import transformers
from safetensors.torch import save_file

questions, answers = sys.argv[1:]
found, faults = {}, {}


def shaken(model, seed):
    """Random numbers for all that a folder holds, none of them near zero or one."""
    draw = torch.Generator().manual_seed(seed)
    for name, one in [*model.named_parameters(), *model.named_buffers()]:
        if "embed_positions" in name or not one.is_floating_point():
            continue
        if "inv_freq" in name:
            continue
        mean = 1.0 if "norm" in name.lower() or ".ln_" in name else 0.0
        mean = mean if name.endswith("weight") else 0.0
        one.data = mean + 0.3 * torch.randn(one.shape, generator=draw)
    return model


def made(asked, seed):
    kind, options = getattr(transformers, asked["architecture"]), asked.get("options", {})
    if asked["config"] is None:
        return kind.from_pretrained(
            asked["folder"],
            local_files_only=True,
            attn_implementation="eager",
            dtype=torch.float32,
            output_loading_info=True,
            **options,
        )
    config = kind.config_class(**asked["config"])
    model = shaken(kind(config, **options), seed).eval()
    model.tie_weights()
    model.save_pretrained(asked["folder"])
    again = kind.from_pretrained(
        asked["folder"],
        local_files_only=True,
        attn_implementation="eager",
        dtype=torch.float32,
        **options,
    )
    return again, {}


def side(tokens, mask, left):
    """Rows with their real tokens at one end."""
    order = (mask if left else ~mask).int().argsort(dim=1, stable=True)
    return tokens.gather(1, order), mask.gather(1, order)


def answer(name, asked, seed):
    model, info = made(asked, seed)
    model.eval()
    if "again" in asked:
        model.save_pretrained(asked["again"])
    parts = "missing_keys", "unexpected_keys", "mismatched_keys"
    faults[name] = {part: sorted(map(str, info.get(part, []))) for part in parts}
    if "pixels" in asked:
        pixels = torch.tensor(asked["pixels"], dtype=torch.float32)
        found[f"{name}/logits"] = model(pixel_values=pixels).logits
        return
    tokens, mask = torch.tensor(asked["tokens"]), torch.tensor(asked["mask"]).bool()
    target = asked.get("target") and torch.tensor(asked["target"])
    for where in ("left", "right"):
        ids, real = side(tokens, mask, where == "left")
        inputs = {"input_ids": ids, "attention_mask": real.long()}
        if target is not None:
            found[f"{name}/{where}/logits"] = model(**inputs, decoder_input_ids=target).logits
        elif asked["length"] == 0:
            found[f"{name}/{where}/logits"] = model(**inputs).last_hidden_state
        else:
            places = (real.long().cumsum(-1) - 1).clamp(min=0)
            found[f"{name}/{where}/logits"] = model(**inputs, position_ids=places).logits
    if asked["length"] == 0:
        return
    ids, real = side(tokens, mask, target is None)
    options = {"do_sample": False, "num_beams": 1, "max_new_tokens": asked["length"]}
    pad = model.config.pad_token_id
    options["pad_token_id"] = 0 if pad is None else pad
    written = model.generate(input_ids=ids, attention_mask=real.long(), **options)
    written = written[:, ids.shape[1] if target is None else 1 :]
    ends = model.generation_config.eos_token_id
    ends = torch.tensor([] if ends is None else ends if isinstance(ends, list) else [ends])
    over = torch.isin(written, ends).int().cumsum(1).roll(1, 1)
    over[:, 0] = 0
    found[f"{name}/written"] = torch.where(over > 0, -1, written).int()


with open(questions) as file:
    asked = json.load(file)
with torch.no_grad():
    for seed, (name, one) in enumerate(asked.items()):
        answer(name, one, seed)
found = {name: one.contiguous() for name, one in found.items()}
save_file(found, answers, metadata={"faults": json.dumps(faults)})
