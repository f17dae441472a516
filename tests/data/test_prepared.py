"""Sets in the cache folder: made once, read without a network, and no waiting offline."""

import dataclasses
import shutil
import threading
import time
from pathlib import Path

import pytest

from attention_jax.data import DataConfig, DataError, Pair, load_corpus, prepared
from attention_jax.data.corpora import Corpus


def refused(**fields) -> str:
    with pytest.raises(DataError) as caught:
        load_corpus(DataConfig(**fields))
    message = str(caught.value)
    assert "\n" not in message
    return message


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
    row = {"translations/language": [b"en", b"fr"], "translations/translation": [b"yes", b"oui"]}
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


PHRASES = {
    "train": [Pair(f"the cat sees dog {n}", f"gato {n}", ((1, 0), (4, 1))) for n in range(50)],
    "validation": [Pair("the small cat", "el gato pequeño", ((0, 0), (1, 2), (2, 1)))],
    "test": [Pair("look at me", "mírame", ((0, 0), (1, 0), (2, 0)))],
    "test_long": [Pair("yes", "sí")],
}


@pytest.fixture(scope="module")
def phrasebook(tmp_path_factory) -> tuple[Corpus, Path]:
    """The phrasebook as it comes from a new cache folder, with few phrases in it."""
    from attention_jax.data.phrasebook import builder

    folder = tmp_path_factory.mktemp("cache")
    found = []

    def load():
        found.append(load_corpus(DataConfig(cache=folder)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "pairs", lambda: PHRASES)
        # Two at once: one makes it, the other waits.
        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 2 and found[0] == found[1]
    return found[0], folder


def test_the_phrasebook_comes_back_whole(phrasebook):
    corpus, _ = phrasebook
    assert corpus == Corpus("phrasebook", "en", "es", PHRASES)


def test_the_phrasebook_is_made_once(phrasebook, capsys, monkeypatch):
    corpus, folder = phrasebook
    monkeypatch.setattr(prepared, "_prepare", None)
    assert load_corpus(DataConfig(cache=folder)) == corpus
    assert capsys.readouterr() == ("", "")


def test_making_the_phrasebook_says_so_once_on_stderr(tmp_path, capfd, monkeypatch):
    from attention_jax.data.phrasebook import builder

    monkeypatch.setattr(builder, "pairs", lambda: PHRASES)
    load_corpus(DataConfig(cache=tmp_path))
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and str(tmp_path) in err


def test_a_changed_grammar_is_made_anew(phrasebook, monkeypatch):
    _, folder = phrasebook
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"other code")
    monkeypatch.setattr(prepared, "_prepare", None)
    with pytest.raises(TypeError):  # it is not there, so it would be made
        load_corpus(DataConfig(cache=folder))


def test_the_phrasebook_runs_both_ways(phrasebook):
    corpus, folder = phrasebook
    back = load_corpus(DataConfig(source="es", target="en", cache=folder))
    one, other = corpus.splits["test"][0], back.splits["test"][0]
    assert (one.source, one.target) == (other.target, other.source)
    assert {(b, a) for a, b in one.alignment} == set(other.alignment)
    assert "not 'en' and 'fr'" in refused(target="fr", cache=folder)


def test_a_text_of_a_set_that_is_not_utf_8_is_shown():
    row = {"en": [b"fine"], "es": [b"caf\xe9\n"]}
    with pytest.raises(DataError, match=r"at byte 4: caf\\xe9\\n$"):
        prepared._pair(row, "en", "es", "made")
