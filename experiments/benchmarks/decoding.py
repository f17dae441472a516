"""How long does it take to translate a batch, against Hugging Face and CTranslate2?

Command: python experiments/benchmarks/decoding.py --torch PYTHON --jax PYTHON [PYTHON ...]

One Marian of random numbers, which the peers read from a folder that the package writes: 3 + 3
layers, width 256, 4 heads, 8,192 tokens; 32 in, 32 out, for no text may end before. The peers'
interpreter needs transformers, torch and ctranslate2. Greedy tokens of all that compute in float32
must be the same; of several beams they need not be, because each library ends a text in its own
way.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.benchmarks import inputs
from experiments.benchmarks.bench import command
from experiments.benchmarks.bench.entry import Contender, Entry
from experiments.benchmarks.bench.prepared import Prepared, unknown
from experiments.benchmarks.shapes import DECODING, DECODING_LENGTH

MODULE = "experiments.benchmarks.decoding"
THEIRS = ("hugging face", "ctranslate2 float32", "ctranslate2 int8")
OURS: dict[str, dict[str, Any]] = {
    "attention_jax": {},
    "attention_jax one thread": {"threads": 1},
    "attention_jax int8": {"weights": "int8"},
}
"""fields of the decoding config; by itself a thread for each core takes its share of the rows"""
CONTENDERS = dict.fromkeys(THEIRS, "torch") | dict.fromkeys(OURS, "jax")
PEERS = ("hugging face",)
ROUNDED = ("ctranslate2 int8", "attention_jax int8")
"""contenders whose tokens need not be those of the others"""
FOLDER = "BENCH_MARIAN"
"""the variable by which the peers' process is told where the model is"""


def prepare(contender: str, case: dict) -> Prepared:
    """One batch, translated; see `case`."""
    source = inputs.tokens(DECODING["vocabulary"], case["rows"], DECODING_LENGTH)
    if contender in OURS:
        return decoder(source, case["beams"], **OURS[contender])
    if contender not in THEIRS:
        raise unknown(contender, CONTENDERS)
    from experiments.benchmarks.torch_decoding import ctranslate, hugging_face

    if contender == "hugging face":
        return hugging_face(os.environ[FOLDER], source, case["beams"])
    return ctranslate(os.environ[FOLDER], source, case["beams"], contender.split()[1])


def decoder(source: list, beams: int, **fields: Any) -> Prepared:
    """The decoding of this package."""
    import jax
    from flax import nnx

    from attention_jax.decoding.translate import DecodingConfig, Translator, threads_for

    graph, params = nnx.split(built(), nnx.Param)
    # The last position can hold nothing but the end: it stands behind those that count.
    sizes = {"beams": beams, "max_length": DECODING_LENGTH + 1, "rows": len(source)}
    config = DecodingConfig(**sizes, **fields)
    # Tokens go in and come out: no text, so no tokenizer.
    translator = Translator(graph, params, cast(Any, None), config, DECODING_LENGTH)

    def call() -> list:
        found = (tokens for tokens in translator.search(source) if tokens is not None)
        return [tokens[:DECODING_LENGTH].tolist() for tokens in found]

    threads = threads_for(config.threads)
    return Prepared(call, weighed, f"jax {jax.__version__}, {config.weights}, threads: {threads}")


def weighed(tokens: list[list[int]]) -> list[float]:
    """A number for each row that all of its tokens decide."""
    return [float(sum(at * token for at, token in enumerate(row, 1))) for row in tokens]


def built() -> Any:
    """The model; nothing in it ever ends a text, or writes padding or a start."""
    import jax
    from flax import nnx

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


def entries(who: Sequence[Contender], rows: int, beams: int, folder: Path) -> list[Entry]:
    """One size takes turns; the folder is written if a peer needs it and it is not there."""
    how, case = f"beam {beams}" if beams > 1 else "greedy", {"rows": rows, "beams": beams}
    found = []
    for one in who:
        if one.asked in THEIRS:
            if not folder.exists():
                write(folder)
            one = replace(one, variables=((FOLDER, str(folder)),))
        tolerance = 0.0 if beams == 1 and one.asked not in ROUNDED else None
        found.append(Entry(MODULE, one, case, f"{how}, rows: {rows}", tolerance))
    return found


def groups(options: argparse.Namespace) -> Iterator[list[Entry]]:
    """One size after another."""
    who = command.contenders(options, CONTENDERS)
    with tempfile.TemporaryDirectory() as parent:
        for beams in options.beams:
            for rows in options.rows:
                yield entries(who, rows, beams, Path(parent) / "marian")


def main() -> None:
    """Reads the command line and runs it."""
    parser = command.parser(__doc__, rounds=5, seconds=1.0)
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--beams", nargs="+", type=int, default=[1, 4])
    options = parser.parse_args()
    command.run(groups(options), options, peers=PEERS, show=command.table.long)


if __name__ == "__main__":
    main()
