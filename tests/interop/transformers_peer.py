"""Hugging Face's transformers on folders: run by `test_huggingface_peers.py`, by a Python with it.

Command: python transformers_peer.py QUESTIONS.json ANSWERS.safetensors

The questions are [folder, texts, pairs or null] by name. The answers have, for each text of each
question, NAME/ROW/ and `tokens`, `hidden` [S, D] and `weights` [L, H, S, S]; no text is padded.
Beside each folder whose name is its question's, FOLDER_again holds the model with a head for masked
words, as transformers writes it today.
"""

import json
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

questions, answers = sys.argv[1:]
found = {}
with open(questions) as file:
    asked = json.load(file)
for name, (folder, texts, pairs) in asked.items():
    model = AutoModel.from_pretrained(
        folder, attn_implementation="eager", local_files_only=True, dtype=torch.float32
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if folder.endswith(f"/{name}"):
        again = AutoModelForMaskedLM.from_pretrained(folder, local_files_only=True)
        again.save_pretrained(f"{folder}_again")
    for row, text in enumerate(texts):
        read = tokenizer(text, pairs and pairs[row], return_tensors="pt")
        if model.config.model_type == "distilbert":
            read.pop("token_type_ids", None)
        with torch.no_grad():
            output = model(**read, output_attentions=True)
        found[f"{name}/{row}/tokens"] = read["input_ids"][0].to(torch.int32)
        found[f"{name}/{row}/hidden"] = output.last_hidden_state[0].contiguous()
        found[f"{name}/{row}/weights"] = torch.cat(output.attentions)
save_file(found, answers)
