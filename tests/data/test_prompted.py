"""Words that say what to do, in front of each source."""

import pytest

from attention_jax.data import DataConfig, DataError, Pair, load_corpus
from attention_jax.data.prompted import prompted

PAIR = Pair("the dog", "el perro", ((0, 0), (1, 1)))
CROSSED = Pair("red dog", "perro rojo", ((0, 1), (1, 0)))


def test_a_prompt_stands_in_front_and_links_move():
    found = prompted({"train": [PAIR]}, "to {target}:", ("en", "es"), both=False)
    assert found == {"train": [Pair("to es: the dog", "el perro", ((2, 0), (3, 1)))]}


def test_both_ways_are_told_apart():
    found = prompted({"train": [PAIR, CROSSED]}, " say it in {target} ", ("en", "es"), both=True)
    assert found["train"] == [
        Pair("say it in es the dog", "el perro", ((4, 0), (5, 1))),
        Pair("say it in en el perro", "the dog", ((4, 0), (5, 1))),
        Pair("say it in es red dog", "perro rojo", ((4, 1), (5, 0))),
        Pair("say it in en perro rojo", "red dog", ((4, 1), (5, 0))),
    ]
    with pytest.raises(DataError, match="both_ways needs a prompt.*'translate:'.*{target}"):
        prompted({"train": [PAIR]}, "translate:", ("en", "es"), both=True)


def test_a_corpus_has_it_where_it_is_asked_for(tmp_path):
    for split in ("train", "val"):
        (tmp_path / f"{split}.tsv").write_text("a dog\tun perro\n", "utf-8")
    config = DataConfig(corpus=str(tmp_path), prompt="{target}:", both_ways=True)
    assert [pair.source for pair in load_corpus(config).splits["train"]] == [
        "es: a dog",
        "en: un perro",
    ]
    plain = DataConfig(corpus=str(tmp_path))
    assert load_corpus(plain).splits["train"] == [Pair("a dog", "un perro")]
    with pytest.raises(DataError, match="both_ways"):
        load_corpus(DataConfig(corpus=str(tmp_path), both_ways=True))
