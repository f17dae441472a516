"""The sizes that benchmarks share, so that peers are measured on the same work."""

from typing import Any

TRAINING_STEP = {
    # Wu et al. 2021, Transformer-Tiny, as used for Multi30k; 64 x 32 tokens on each side.
    "tiny": dict(
        vocabulary=10_000, width=128, encoder_layers=4, decoder_layers=4, heads=4,
        feed_forward=256, rows=64, length=32,
    ),
    # Large enough for the matrix products to count.
    "medium": dict(
        vocabulary=8_192, width=256, encoder_layers=3, decoder_layers=3, heads=4,
        feed_forward=1_024, rows=64, length=32,
    ),
}  # fmt: skip

# An LSTM encoder and decoder, by width and layers; 64 sentences of 32 tokens on each side.
RECURRENT_STEP = {
    f"{width} x {layers}": dict(vocabulary=8_192, width=width, layers=layers, rows=64, length=32)
    for width in (256, 512)
    for layers in (1, 2)
}

# nanoGPT's setting for Shakespeare on a CPU.
LANGUAGE_STEP = dict(
    vocabulary=68, width=128, layers=4, heads=4, feed_forward=512, context=64, rows=12,
)  # fmt: skip

# Of translation, as a Marian: as many tokens in as out.
DECODING: dict[str, Any] = dict(
    vocabulary=8_192, width=256, encoder_layers=3, decoder_layers=3, encoder_heads=4,
    decoder_heads=4, encoder_feed_forward=1_024, decoder_feed_forward=1_024,
)  # fmt: skip

DECODING_LENGTH = 32

# Attention alone: 8 heads of 64 features, float32. Short ones in a batch, as they come in training.
ATTENTION = [
    dict(batch=8 if length <= 1_024 else 1, length=length, heads=8, features=64)
    for length in (128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384)
]  # fmt: skip

# A whole multi-head attention, projections included, in the width of attention alone.
ATTENTION_MODULE = [
    dict(batch=batch, length=length, width=512, heads=8) for batch, length in ((8, 512), (1, 2_048))
]

# How cost grows with the work: one size runs, the others stay; 64 features, float32. What "both"
# says is how far forward and backward goes.
COST = {
    "length": dict(
        sizes=[2**power for power in range(7, 18)], both=32_768, batch=1, heads=1, theory=(2, 1),
    ),
    "batch": dict(
        sizes=[2**power for power in range(9)], both=256, length=256, heads=8, theory=(1, 1),
    ),
    "heads": dict(
        sizes=[2**power for power in range(7)], both=64, length=1_024, batch=1, theory=(1, 1),
    ),
}  # fmt: skip
