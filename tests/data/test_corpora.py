"""One name to one corpus: every form, every name that does not fit, and no waiting offline."""

import dataclasses
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from attention_jax.data import DataConfig, DataError, Pair, load_corpus, prepared
from attention_jax.data.corpora import Corpus

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


def test_a_part_of_a_set_that_is_none(tmp_path):
    message = refused(corpus="para_crawl/enez", cache=tmp_path)
    assert "no 'enez'" in message and "para_crawl/enes" in message
    assert "name one" in refused(corpus="para_crawl", cache=tmp_path)


def test_offline_is_told_at_once(tmp_path, monkeypatch):
    asked = []

    def unreachable(host):
        asked.append(host)
        time.sleep(60)  # a name look-up that never ends

    monkeypatch.setattr(prepared, "_answers", unreachable)
    monkeypatch.setattr(prepared, "_PATIENCE", 0.2)
    started = time.perf_counter()
    message = refused(corpus="para_crawl/enes", cache=tmp_path)
    assert time.perf_counter() - started < 10
    assert asked == ["s3.amazonaws.com"] and "s3.amazonaws.com does not answer" in message
    assert str(tmp_path / "tfds" / "para_crawl" / "enes") in message


def test_a_host_that_refuses_has_answered(monkeypatch):
    from urllib import error, request

    def forbidden(asked, timeout):
        raise error.HTTPError(asked.full_url, 403, "Forbidden", {}, None)

    def lost(asked, timeout):
        raise error.URLError("no route")

    monkeypatch.setattr(request, "urlopen", forbidden)
    assert prepared._any_answers(["one.invalid"])
    monkeypatch.setattr(request, "urlopen", lost)
    assert not prepared._any_answers(["one.invalid", "two.invalid"])


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A cache folder with two small sets, as TFDS writes them."""
    import tensorflow_datasets as tfds

    text = tfds.features.Text()

    class SmallTalks(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="deen")]

        def _info(self):
            both = tfds.features.Translation(languages=["de", "en"])
            return tfds.core.DatasetInfo(builder=self, features=both)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(60)}

        def _generate_examples(self, count):
            for n in range(count):
                yield n, {"de": f"Satz {n} ü", "en": "" if n == 7 else f"sentence {n}"}

    class SmallSides(SmallTalks):
        BUILDER_CONFIGS = []

        def _info(self):
            names = ("source_sentence", "target_sentence", "source_language", "target_language")
            features = tfds.features.FeaturesDict(dict.fromkeys(names, text))
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(3), "validation": self._generate_examples(2)}

        def _generate_examples(self, count):
            for n in range(count):
                yield (
                    n,
                    {
                        "source_sentence": f"Satz {n}\n",
                        "target_sentence": f"sentence {n}\n",
                        "source_language": "de",
                        "target_language": "en",
                    },
                )

    folder = tmp_path_factory.mktemp("cache")
    for builder in (SmallTalks, SmallSides):
        prepared._prepare(builder(data_dir=folder / "tfds", file_format="array_record"))
    return folder


def test_a_prepared_set_needs_no_network(written, monkeypatch):
    monkeypatch.setattr(prepared, "_download", None)
    config = DataConfig(corpus="small_talks/deen", source="en", target="de", cache=written)
    corpus = load_corpus(config)
    sizes = {name: len(pairs) for name, pairs in corpus.splits.items()}
    assert sizes == {"train": 55, "validation": 2, "test": 2}
    assert all(p.target == f"Satz {p.source.split()[1]} ü" for p in corpus.splits["train"])
    assert "dropped 1 of 60 pairs" in corpus.notes[0] and "only a train split" in corpus.notes[1]
    assert len(load_corpus(dataclasses.replace(config, limit=9)).splits["train"]) == 9


def test_a_set_with_named_sides(written):
    corpus = load_corpus(DataConfig(corpus="small_sides", source="en", target="de", cache=written))
    assert set(corpus.splits) == {"train", "validation"}
    assert sorted(corpus.splits["validation"]) == [
        Pair("sentence 0", "Satz 0"), Pair("sentence 1", "Satz 1")
    ]  # fmt: skip


def test_a_set_with_many_languages():
    row = {"translations": {"language": [b"en", b"fr"], "translation": [b"yes", b"oui"]}}
    assert prepared._pair(row, "fr", "en", "talks") == Pair("oui", "yes")
    assert prepared._pair(row, "fr", "de", "talks") == Pair("oui", "")


def test_a_set_in_other_languages(written):
    message = refused(corpus="small_talks/deen", cache=written)
    assert "has de and en, not 'en' and 'es'" in message


def test_a_damaged_set_says_what_to_delete(written, tmp_path):
    shutil.copytree(written, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*.array_record*"):
        path.write_bytes(b"\0" * 100)
    message = refused(corpus="small_sides", source="de", target="en", cache=tmp_path / "copy")
    assert "cannot be read" in message and "Delete that folder" in message


@pytest.fixture(scope="module")
def phrasebook(tmp_path_factory) -> tuple[Corpus, Path]:
    folder = tmp_path_factory.mktemp("cache")
    found = []
    config = DataConfig(cache=folder)
    # Two at once: one makes it, the other waits.
    threads = [threading.Thread(target=lambda: found.append(load_corpus(config))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and found[0] == found[1]
    return found[0], folder


def test_the_phrasebook_is_what_its_grammar_says(phrasebook):
    from attention_jax.data.phrasebook import pairs

    corpus, _ = phrasebook
    written = {name: list(found) for name, found in corpus.splits.items()}
    assert {name: sorted(found) for name, found in written.items()} == {
        name: sorted(found) for name, found in pairs().items()
    }
    assert set(written) == {"train", "validation", "test", "test_long"}


def test_the_phrasebook_is_made_once(phrasebook, capsys, monkeypatch):
    corpus, folder = phrasebook
    monkeypatch.setattr(prepared, "_prepare", None)
    started = time.perf_counter()
    assert load_corpus(DataConfig(cache=folder)) == corpus
    assert time.perf_counter() - started < 20
    assert capsys.readouterr().err == ""


def test_the_phrasebook_runs_both_ways(phrasebook):
    corpus, folder = phrasebook
    back = load_corpus(DataConfig(source="es", target="en", cache=folder))
    one, other = corpus.splits["test"][0], back.splits["test"][0]
    assert (one.source, one.target) == (other.target, other.source)
    assert {(b, a) for a, b in one.alignment} == set(other.alignment)
    assert "not 'en' and 'fr'" in refused(target="fr", cache=folder)


def test_real_text():
    folder = os.environ.get("ATTENTION_JAX_REAL_DATA")
    if folder is None:
        pytest.skip("ATTENTION_JAX_REAL_DATA names no folder of real data")
    config = DataConfig(corpus=str(Path(folder, "multi30k")), source="de", target="en")
    corpus = load_corpus(config)
    assert len(corpus.splits["train"]) == 29_000 and corpus.notes == ()
    assert "no train.fr" in refused(corpus=config.corpus, source="fr", target="en")
