"""The peers: the same Marian folder under Hugging Face's `generate` and under CTranslate2.

Run by `decoding.py` in a process of their own; neither library is a dependency of the package.
"""

import tempfile

from experiments.benchmarks.bench.prepared import Prepared
from experiments.benchmarks.bench.process import here
from experiments.benchmarks.decoding import weighed
from experiments.benchmarks.shapes import DECODING_LENGTH as LENGTH


def hugging_face(folder: str, source: list, beams: int) -> Prepared:
    """A batch through transformers."""
    import torch
    import transformers

    torch.set_num_threads(len(here()))
    model = transformers.MarianMTModel.from_pretrained(folder).eval()
    tokens = torch.tensor(source)
    how = {"num_beams": beams, "min_new_tokens": LENGTH, "max_new_tokens": LENGTH}
    how |= {"do_sample": False, "attention_mask": torch.ones_like(tokens)}

    def call() -> list:
        with torch.no_grad():
            return model.generate(tokens, **how)[:, 1:].tolist()

    label = f"transformers {transformers.__version__}, torch {torch.__version__}"
    return Prepared(call, weighed, label, ahead=True)


def ctranslate(folder: str, source: list, beams: int, compute: str) -> Prepared:
    """The same with CTranslate2, a part of the batch for each core, which is its best setting."""
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
    cores = len(here())
    with tempfile.TemporaryDirectory() as converted:
        spec.save(converted)
        translator = ctranslate2.Translator(
            converted, compute_type=compute, inter_threads=cores, intra_threads=1
        )
    texts = [[names[token] for token in row] for row in source]
    how = {"beam_size": beams, "min_decoding_length": LENGTH, "max_decoding_length": LENGTH}
    how["max_batch_size"] = -(-len(texts) // cores)

    def call() -> list:
        found = translator.translate_batch(texts, **how)
        return [[int(name[1:]) for name in one.hypotheses[0]] for one in found]

    label = f"CTranslate2 {ctranslate2.__version__}, {compute}, {cores} x 1 threads"
    return Prepared(call, weighed, label, ahead=True)
