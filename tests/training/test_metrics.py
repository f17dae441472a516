import json
import math
import subprocess
import sys

import pytest

from attention_jax.training.metrics import bleu, chrf, exact_match, perplexity

TEXTS = ["the cat sat on the mat .", "¿dónde está la casa roja?", ""]


def test_perplexity():
    assert perplexity(10 * math.log(7), 10) == pytest.approx(7)
    assert perplexity(0, 3) == 1
    assert perplexity(1e6, 1) == math.inf
    assert math.isnan(perplexity(math.nan, 5))
    with pytest.raises(ValueError, match="over 0 tokens"):
        perplexity(0.0, 0)


def test_bleu_of_equal_texts_is_100():
    result = bleu(TEXTS, TEXTS)
    assert result["score"] == pytest.approx(100)
    assert result["precisions"] == pytest.approx([100] * 4)
    assert result["brevity_penalty"] == 1
    assert result["hypothesis_length"] == result["reference_length"]
    assert "tok:13a" in result["signature"] and "version:" in result["signature"]
    assert json.loads(json.dumps(result)) == result


def test_bleu_by_hand():
    # 5 of 6 words, 3 of 5 pairs, 1 of 4 triples, no quadruple of 3 (smoothed: 1/2 of one).
    result = bleu(["a b c d x f"], ["a b c y e f x"], tokenize="none")
    precisions = [500 / 6, 200 / 5, 100 / 4, 50 / 3]
    assert result["precisions"] == pytest.approx(precisions)
    brevity = math.exp(1 - 7 / 6)
    assert result["brevity_penalty"] == pytest.approx(brevity)
    assert result["score"] == pytest.approx(brevity * math.prod(precisions) ** 0.25)
    assert "tok:none" in result["signature"]


def test_chrf():
    result = chrf(TEXTS, TEXTS)
    assert result["score"] == pytest.approx(100)
    assert "nc:6|nw:0" in result["signature"]
    assert "nw:2" in chrf(TEXTS, TEXTS, word_order=2)["signature"]
    assert chrf(["xyz"], ["abc"])["score"] == 0
    with pytest.raises(ValueError, match="word_order is -1"):
        chrf(TEXTS, TEXTS, word_order=-1)


def test_exact_match():
    assert exact_match(["a b", " c", "d"], ["a b", "c ", "D"]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("metric", [bleu, chrf, exact_match])
def test_texts_that_do_not_pair_up(metric):
    with pytest.raises(ValueError, match="2 hypotheses and 1 references"):
        metric(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="0 hypotheses and 0 references"):
        metric([], [])
    with pytest.raises(ValueError, match="references is one string"):
        metric(["a"], "a")


def test_an_unknown_tokenizer():
    with pytest.raises(ValueError, match="tokenize is '13b'; one of .*13a.* would fit"):
        bleu(TEXTS, TEXTS, tokenize="13b")


def test_importing_is_light():
    path = sys.modules[perplexity.__module__].__file__
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]);"
        "sys.exit(any(name in sys.modules for name in ('sacrebleu', 'numpy', 'jax')))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0
