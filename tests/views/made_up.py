"""Results of runs that never were: small, and each number known."""

HOSTILE = "<script>alert('x')</script> & \"quoted\" | `code` <img src=x onerror=y>"
PLAN = [(variant, seed) for variant in ("1 head", "2 heads") for seed in (0, 1, 2)]


def record(variant, seed, loss, **others):
    scores = {"loss": loss, "exact_match": 0.5, "bleu": {"score": 40.0 + 10 * loss}}
    return {
        "name": f"{variant} {seed}", "variant": variant, "seed": seed, "parameters": 1000,
        "steps": 10, **scores, "test": {"test": scores}, "tokens_per_second": 5000.0,
        "memory_bytes": 2**30, **others,
    }  # fmt: skip


RECORDS = [
    record(variant, seed, factor * (0.1 + 0.002 * seed))
    for factor, variant in ((1, "1 head"), (2, "2 heads"))
    for seed in (0, 1, 2)
]


def head(part, layer, number, **numbers):
    """A head that does nothing in particular, unless `numbers` say so."""
    calm = {
        "entropy": 1.0, "distance": 2.5, "confidence": 0.5, "previous": 0.1, "next": 0.1,
        "same": 0.1, "first": 0.1, "alignment_error": None, "redundancy": 0.25,
        "importance": 0.125, "loss_without": 0.0625,
    }  # fmt: skip
    return {"part": part, "layer": layer, "head": number, **calm, **numbers}


def description(*heads, **others):
    """What `analysis.heads.describe` makes; by default unequal layers, one of them empty."""
    heads = heads or (
        head("encoder", 0, 0, previous=0.9, loss_without=1.25),
        head("encoder", 0, 1, loss_without=-0.004),
        head("encoder", 1, 0, entropy=2.0),
        head("cross", 0, 0, alignment_error=0.125),
        head("cross", 0, 1, alignment_error=0.5, loss_without=None),
    )
    similarity = {"encoder": [[[1, 0], [0, 1]], [[1]]], "decoder": [[], []], "cross": [[], []]}
    return {
        "name": "a run", "split": "validation", "sentences": 1234, "step": 56,
        "heads": list(heads), "similarity": similarity, **others,
    }  # fmt: skip


def point(left, loss, score, **parts):
    return {"left": left, "loss": loss, "score": score, "by_part": parts}


def pruning(**others):
    """What `analysis.pruning` makes."""
    curves = {
        "greedy": [
            point(4, 0.5, 30.0, encoder=2, cross=2),
            point(2, 0.75, None, encoder=0, cross=2),
            point(0, 6.5, 1.0, encoder=0, cross=0),
        ],
        "random": [point(4, 0.5, 30.0), point(0, 6.5, 1.0)],
    }
    one_left = [
        {"part": "encoder", "layer": 0, "head": 1, "loss": 0.5625, "score": 29.0},
        {"part": "cross", "layer": 1, "head": 0, "loss": 1.5, "score": None},
    ]
    before = {
        "what": "before", "heads": 4, "parameters": 2000, "cache_bytes": 4096, "file_bytes": 2**20,
        "tokens_per_second": 100.0, "loss": 0.5, "score": 30.0,
    }  # fmt: skip
    removed = {**before, "what": "removed", "heads": 3, "parameters": 1500, "score": 28.5}
    return {
        "name": "a run", "split": "test", "metric": "bleu", "baseline": {"loss": 0.5, "score": 30},
        "curves": curves, "one_left": one_left, "removed": [before, removed], **others,
    }  # fmt: skip
