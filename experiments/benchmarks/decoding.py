"""How long does it take to translate a batch, against Hugging Face and CTranslate2?

Command: python experiments/benchmarks/decoding.py --torch PYTHON --jax PYTHON [PYTHON ...]

One Marian of random numbers, which the peers read from a folder that the package writes: 3 + 3
layers, width 256, 4 heads, 8,192 tokens; 32 in, 32 out, for no text may end before. Contenders take
turns in one run, each in a process of its own; see `training_step.py`. The peers' interpreter needs
transformers, torch and ctranslate2. Greedy tokens of all contenders are compared; of several beams
those of different libraries need not be the same, because each ends a text in its own way.
"""

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONTENDERS = ("hugging face", "ctranslate2 float32", "ctranslate2 int8", "jax", "jax, halves")
"""the last one decodes two halves of a batch in two threads"""


def built():
    """The model; nothing in it ever ends a text, or writes padding or a start."""
    import jax
    from flax import nnx
    from shapes import DECODING

    from attention_jax.models.marian import Marian, MarianConfig

    config = MarianConfig(**DECODING, dropout=0.0, activation="relu")
    model = nnx.jit(lambda: Marian(config, rngs=nnx.Rngs(0)))()
    model.output_bias[...] = jax.numpy.zeros(config.vocabulary).at[:3].set(-1e4)
    return model


def write(folder: Path) -> None:
    """Writes it for the peers."""
    from attention_jax.interop.huggingface import save
    from attention_jax.interop.marks import Marks

    save(folder, built(), marks=Marks(start=1, ends=(2,)))


def jax_decoding(source: list, size: dict, parts: int):
    """A function that translates the batch with this package and gives its tokens."""
    import jax
    import numpy as np
    from flax import nnx

    from attention_jax.decoding.translate import DecodingConfig, searcher

    graph, params = nnx.split(built(), nnx.Param)
    rows = -(-len(source) // parts)
    # The last position can hold nothing but the end: it stands behind those that count.
    config = DecodingConfig(beams=size["beams"], max_length=size["length"] + 1, rows=rows)
    search = searcher(graph, config)
    batches = [np.asarray(source[at : at + rows], np.int32) for at in range(0, len(source), rows)]
    pool = ThreadPoolExecutor(parts)

    def one(batch):
        return np.asarray(search(params, batch))

    def translate() -> list:
        return np.concatenate(list(pool.map(one, batches)))[:, : size["length"]].tolist()

    return translate, f"attention_jax, jax {jax.__version__}"


def contender(library: str, size: dict):
    """A function that translates the batch and gives a number that tokens decide, and a name."""
    import random

    chance = random.Random(0)
    rows, length, last = size["rows"], size["length"], size["vocabulary"] - 1
    source = [[chance.randint(3, last) for _ in range(length)] for _ in range(rows)]
    folder = size["folder"]
    sys.path.insert(0, str(HERE))
    if library.startswith("jax"):
        translate, name = jax_decoding(source, size, 2 if library != "jax" else 1)
    else:
        from torch_decoding import ctranslate, hugging_face

        if library == "hugging face":
            translate, name = hugging_face(folder, source, size)
        else:
            translate, name = ctranslate(folder, source, size, library.split()[1])

    def step() -> float:
        tokens = translate()
        return float(sum((place + 1) * token for row in tokens for place, token in enumerate(row)))

    return step, name


def main() -> None:
    """Reads the command line, measures, prints a table, and keeps the figures if asked."""
    sys.path[:0] = [str(HERE), str(HERE.parents[1])]
    from shapes import DECODING
    from training_step import measure, serve

    if sys.argv[1:2] == ["--serve"]:
        serve(*contender(sys.argv[2], json.loads(sys.argv[3])))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--torch", required=True, help="an interpreter that has the peers")
    parser.add_argument("--jax", nargs="+", default=[sys.executable], help="interpreters")
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--beams", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "marian"
        write(folder)
        for beams in options.beams:
            for rows in options.rows:
                size = {"rows": rows, "beams": beams, "length": 32, "cores": options.cores}
                size |= {"folder": str(folder), "vocabulary": DECODING["vocabulary"]}
                who = [(name, options.torch) for name in CONTENDERS if not name.startswith("jax")]
                ours = [name for name in CONTENDERS if name.startswith("jax")]
                ours = ours if rows > 1 else ours[:1]
                who += [(name, python) for python in options.jax for name in ours]
                script, rounds = str(HERE / "decoding.py"), options.rounds
                records = measure(who, size, 0.0, rounds, options.steps, script=script)
                results.append({"rows": rows, "beams": beams, "records": records})
                for (library, _), record in zip(who, records, strict=True):
                    same = record["losses"][0] == records[0]["losses"][0]
                    print(
                        f"beams {beams} rows {rows:3}: {record['step_ms']:8.1f} ms  "
                        f"{record['ratio']:.3f} of Hugging Face  first {record['first']:.1f} s  "
                        f"{'same tokens' if same else 'other tokens':12}  {library}: "
                        f"{record['name']}",
                        flush=True,
                    )
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
