"""The peers: the same Marian folder under Hugging Face's `generate` and under CTranslate2.

Run by `decoding.py` in processes of their own; neither library is a dependency of the package.
"""

import tempfile


def hugging_face(folder: str, source: list, size: dict):
    """A function that translates the batch with transformers and gives its tokens."""
    import torch
    import transformers

    torch.set_num_threads(size["cores"])
    model = transformers.MarianMTModel.from_pretrained(folder).eval()
    tokens, length = torch.tensor(source), size["length"]
    how = {"num_beams": size["beams"], "min_new_tokens": length, "max_new_tokens": length}
    how |= {"do_sample": False, "attention_mask": torch.ones_like(tokens)}

    def translate() -> list:
        with torch.no_grad():
            return model.generate(tokens, **how)[:, 1:].tolist()

    return translate, f"transformers {transformers.__version__}, torch {torch.__version__}"


def ctranslate(folder: str, source: list, size: dict, compute: str):
    """The same with CTranslate2, a half of the batch for each thread, which is its best setting."""
    import ctranslate2
    import transformers
    from ctranslate2.converters.transformers import BartLoader

    model = transformers.MarianMTModel.from_pretrained(folder)
    model.config.normalize_before = model.config.normalize_embedding = False
    spec = BartLoader().get_model_spec(model)
    names = [f"t{token}" for token in range(model.config.vocab_size)]
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    spec.config.bos_token = spec.config.decoder_start_token = names[1]
    spec.config.eos_token, spec.config.unk_token = names[2], names[0]
    spec.validate()
    spec.optimize(quantization="int8" if compute == "int8" else None)
    with tempfile.TemporaryDirectory() as converted:
        spec.save(converted)
        translator = ctranslate2.Translator(
            converted, compute_type=compute, inter_threads=size["cores"], intra_threads=1
        )
    texts, length = [[names[token] for token in row] for row in source], size["length"]
    how = {"beam_size": size["beams"], "min_decoding_length": length, "max_decoding_length": length}
    how["max_batch_size"] = -(-len(texts) // size["cores"])

    def translate() -> list:
        found = translator.translate_batch(texts, **how)
        return [[int(name[1:]) for name in one.hypotheses[0]] for one in found]

    return translate, f"CTranslate2 {ctranslate2.__version__}, {compute}"
