"""One name to one corpus: every form, and one clear message for every name that does not fit."""

import os
from pathlib import Path

import pytest

from attention_jax.data import DataConfig, DataError, Pair, load_corpus

LINES = [f"sentence {n}\tSatz {n}\n" for n in range(100)]


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "made.tsv"
    path.write_text("".join(LINES), encoding="utf-8")
    return path


def refused(**fields) -> str:
    with pytest.raises(DataError) as caught:
        load_corpus(DataConfig(**fields))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"corpus": ""}, "corpus is empty"),
        ({"source": "e/n"}, "source must be a language such as en, not 'e/n'"),
        ({"target": ""}, "target must be a language such as en, not ''"),
        ({"source": "es"}, "both are 'es'"),
        ({"vocabulary": 258}, "vocabulary must be at least 259, not 258"),
        ({"max_length": 1}, "max_length must be at least 2, not 1"),
        ({"shapes": 0}, "shapes must be at least 1, not 0"),
        ({"batch_tokens": 63}, "at least max_length, 64, .* it is 63"),
        ({"bad_lines": "fix"}, "bad_lines is 'fix'; refuse or skip would fit"),
        ({"bad_limit": 1.5}, "bad_limit is a share from 0 to 1, not 1.5"),
        ({"bad_limit": float("nan")}, "bad_limit is a share from 0 to 1, not nan"),
        ({"limit": 0}, "limit must be at least 1, or None for all; it is 0"),
    ],
)
def test_a_config_refuses_impossible_values(fields, said):
    with pytest.raises(DataError, match=said):
        DataConfig(**fields)


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("ATTENTION_JAX_CACHE", raising=False)
    assert DataConfig().folder == Path.home() / ".cache" / "attention_jax"
    monkeypatch.setenv("ATTENTION_JAX_CACHE", str(tmp_path))
    assert DataConfig().folder == tmp_path
    assert DataConfig(cache="elsewhere").folder == Path("elsewhere")


def test_a_table(table):
    corpus = load_corpus(DataConfig(corpus=str(table), source="en", target="de"))
    sizes = {name: len(pairs) for name, pairs in corpus.splits.items()}
    assert sizes == {"train": 90, "validation": 5, "test": 5}
    assert corpus == load_corpus(DataConfig(corpus=str(table), source="en", target="de"))
    assert (corpus.name, corpus.source, corpus.target) == (str(table), "en", "de")


def test_a_table_turned_round(table):
    straight = load_corpus(DataConfig(corpus=str(table)))
    turned = load_corpus(DataConfig(corpus=str(table), source="de", target="en", reverse=True))
    assert {name: len(pairs) for name, pairs in turned.splits.items()} == {
        name: len(pairs) for name, pairs in straight.splits.items()
    }
    one, other = straight.splits["train"][0], turned.splits["train"][0]
    assert (one.source, one.target) == (other.target, other.source)
    said = refused(corpus="phrasebook", reverse=True)
    assert "exchange source (en) and target (es)" in said


def test_a_limit_cuts_the_training_pairs_and_says_so(table):
    whole = load_corpus(DataConfig(corpus=str(table)))
    cut = load_corpus(DataConfig(corpus=str(table), limit=10))
    assert cut.splits == {**whole.splits, "train": whole.splits["train"][:10]}
    assert cut.notes == ("kept the first 10 of 90 training pairs",)


def test_a_folder(tmp_path):
    for stem, count in {"train": 3, "val": 1, "test_x": 2}.items():
        for side in ("en", "es"):
            text = "".join(f"{side} {n}\n" for n in range(count))
            (tmp_path / f"{stem}.{side}").write_text(text)
    corpus = load_corpus(DataConfig(corpus=str(tmp_path)))
    assert set(corpus.splits) == {"train", "validation", "test_x"}
    assert corpus.splits["train"][2] == Pair("en 2", "es 2")


def test_names_that_fit_nothing(tmp_path, table):
    (tmp_path / "notes.txt").write_text("x")
    cases = {
        "phrasbook": ["no corpus 'phrasbook'", "Did you mean phrasebook?", "two-column"],
        "para_crowl/enes": ["Did you mean para_crawl/enes?", "no folder or file"],
        "mnist": ["no corpus 'mnist'", "train.en"],
        str(tmp_path / "mode.tsv"): ["no file", str(table)],
        str(tmp_path / "gone"): ["no folder or file"],
        "./gone": ["no folder or file ./gone"],
        str(tmp_path / "notes.txt"): ["is a file, but no .tsv"],
        "wmt14_translate/de-en": ["needs TensorFlow", "para_crawl"],
        "flores": ["needs TensorFlow"],
    }
    for name, parts in cases.items():
        message = refused(corpus=name, cache=tmp_path)
        assert all(part in message for part in parts), message


def test_real_text():
    folder = os.environ.get("ATTENTION_JAX_REAL_DATA")
    if folder is None:
        pytest.skip("ATTENTION_JAX_REAL_DATA names no folder of real data")
    config = DataConfig(corpus=str(Path(folder, "multi30k")), source="de", target="en")
    corpus = load_corpus(config)
    assert len(corpus.splits["train"]) == 29_000 and corpus.notes == ()
    assert "no train.fr" in refused(corpus=config.corpus, source="fr", target="en")
