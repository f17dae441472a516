"""What of a sentence can be computed at once?

Question: how does the time to train on a token and to write one grow with the length, for
recurrence, convolution and attention of equal width? How many matrix products wait for each other,
and how many lie between two positions, both counted from the programs that are timed?
(A path that does not exist is a gap: two convolutions of three positions see five.)
Source: Vaswani et al. 2017, section 4 and table 1 (sequential operations, path lengths).
Command: python experiments/parallelism.py [--lengths 16 64] [--rounds 5] [--smoke] [--out FOLDER]
"""

import argparse
import json
from pathlib import Path

import jax

from attention_jax.analysis.longest_path import counts
from attention_jax.analysis.series import write
from attention_jax.analysis.speed import compared, programs_of
from attention_jax.models.bahdanau import BahdanauConfig
from attention_jax.models.convolutional import ConvolutionalConfig
from attention_jax.models.rnn_seq2seq import RnnSeq2SeqConfig
from attention_jax.models.transformer import TransformerConfig

TOKENS, ROWS = 2_048, 16  # of a training batch, on each side; sentences written side by side
QUANTITIES = {
    "train_us": "µs a token, training",
    "write_us": "µs a token, writing",
    "chain": "matrix products in a row",
    "source": "products and steps, source to target",
    "target": "products and steps, target to target",
}


def models(width: int, longest: int) -> dict:
    """Two layers a side, but for Bahdanau's one; so many tokens that each position has its own."""
    sizes = {"vocabulary": max(1_000, 2 * longest + 3), "width": width}
    layers = {"encoder_layers": 2, "decoder_layers": 2}
    plain = {"dropout": 0.0, "tied": False}
    inner = {"heads": 4, "feed_forward": 4 * width}
    return {
        "recurrence: LSTM": RnnSeq2SeqConfig(layers=2, **sizes, **plain),
        "recurrence, attending: Bahdanau": BahdanauConfig(**sizes, **plain),
        "convolution": ConvolutionalConfig(**sizes, **layers, **plain),
        "attention: Transformer": TransformerConfig(**sizes, **layers, **inner, **plain),
    }


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description="What of a sentence can be computed at once?")
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 32, 64, 128, 256, 512])
    parser.add_argument("--counted", type=int, default=128, help="the longest that is counted")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--smoke", action="store_true", help="one length, one round, width 8")
    parser.add_argument("--out", type=Path, default=Path("runs/parallelism"))
    options = parser.parse_args(arguments)
    if options.smoke:
        options.lengths, options.rounds, options.width = [4], 1, 8
    configs, records = models(options.width, max(options.lengths)), []
    small = models(8, max(options.lengths))  # paths do not depend on the width
    for length in options.lengths:
        records += compared(configs, length, tokens=TOKENS, rows=ROWS, rounds=options.rounds)
        for name, config in small.items() if length <= options.counted else ():
            one = programs_of(config)
            found = counts(one.graph, one.start(0).params, length)
            records.append({"model": name, "length": length} | found)
        print(json.dumps(records[-1]), flush=True)
        jax.clear_caches()
    print(write(records, "model", "length", QUANTITIES, options.out))


if __name__ == "__main__":
    main()
