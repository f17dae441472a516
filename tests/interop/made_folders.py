"""Tiny folders of every kind of the BERT family, as transformers would write them."""

import json

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from attention_jax.interop import write_tensors
from tests.interop.bert_oracle import BERT, DISTILBERT

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "drank", "milk", "##s", "##ing", "."]
WORDS += ["it", "is", "##ed", "dog", "was"]
SENTENCES = ["The cat drank milk.", "It is", "milks", "the dog was drank the cat"]

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 12,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "pad_token_id": 0,
}
FORMS = {
    "bert": {"model_type": "bert", "vocab_size": len(WORDS) + 2, **SIZES},
    "roberta": {
        **SIZES,
        "model_type": "roberta",
        "vocab_size": 262,
        "type_vocab_size": 1,
        "num_hidden_layers": 1,
        "max_position_embeddings": 32,
        "layer_norm_eps": 1e-5,
        "pad_token_id": 1,
    },
    "distilbert": {
        "model_type": "distilbert",
        "vocab_size": len(WORDS),
        "dim": 16,
        "n_layers": 1,
        "n_heads": 2,
        "hidden_dim": 20,
        "max_position_embeddings": 14,
        "activation": "gelu",
        "pad_token_id": 0,
    },
}


def arrays_of(form, seed=0):
    """Random tensors of a model, by the names of its kind."""
    draw = np.random.default_rng(seed).normal
    distil = form["model_type"] == "distilbert"
    names = DISTILBERT if distil else BERT
    width = form["dim" if distil else "hidden_size"]
    inner = form["hidden_dim" if distil else "intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (form["vocab_size"], width),
        "embeddings.position_embeddings.weight": (form["max_position_embeddings"], width),
    }
    if not distil:
        shapes["embeddings.token_type_embeddings.weight"] = form["type_vocab_size"], width
    maps, norms = {}, ["embeddings.LayerNorm"]
    for layer in range(form["n_layers" if distil else "num_hidden_layers"]):
        for part, name in names.items():
            full = f"{names['layer']}.{layer}.{name}"
            if part in ("first norm", "second norm"):
                norms.append(full)
            elif part not in ("norm", "layer"):
                sizes = {"expand": (inner, width), "contract": (width, inner)}
                maps[full] = sizes.get(part, (width, width))
    for name, shape in maps.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    arrays = {name: draw(0, 0.4, shape) for name, shape in shapes.items()}
    for name in norms:
        arrays |= {f"{name}.weight": draw(1, 0.3, width), f"{name}.bias": draw(0, 0.3, width)}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def word_pieces():
    """A tokenizer as BERT's, which is asked to pad and to cut, as many a folder's is."""
    engine = Tokenizer(models.WordPiece({w: n for n, w in enumerate(WORDS)}, unk_token="[UNK]"))
    engine.add_special_tokens(WORDS[:4])
    engine.normalizer = normalizers.BertNormalizer()
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece()
    engine.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    engine.enable_padding(length=9)
    engine.enable_truncation(5)
    return engine


def byte_pieces():
    """A tokenizer as RoBERTa's, without a single merge."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    engine = Tokenizer(models.BPE({w: n for n, w in enumerate([*marks, *letters])}, []))
    engine.add_special_tokens(marks)
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    engine.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return engine


def write(folder, kind, *, arrays=None, prefix="", **changes):
    """A folder of that kind; gives its config and its tensors.

    `changes` are of config.json, None for a field left out; `prefix` stands before all names.
    """
    form = {name: x for name, x in (FORMS[kind] | changes).items() if x is not None}
    arrays = arrays_of(FORMS[kind]) if arrays is None else arrays
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(form))
    write_tensors(folder / "model.safetensors", {prefix + name: x for name, x in arrays.items()})
    engine = byte_pieces() if kind == "roberta" else word_pieces()
    engine.save(str(folder / "tokenizer.json"))
    return form, arrays
