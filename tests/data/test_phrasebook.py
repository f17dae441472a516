"""The phrasebook: its size and splits, hand-checked Spanish, and its alignments."""

import hashlib
import re
from collections import Counter

import pytest

from attention_jax.data.phrasebook import pairs
from attention_jax.data.phrasebook.conjugation import conjugate, participle
from attention_jax.data.phrasebook.grammar import LONGEST, split_of

COUNTS = {"train": 66537, "validation": 1113, "test": 1510, "test_long": 1000}
DIGEST = "768c742016cb8a180d19f9f4483652bba284240a50ea9c3ddf962efc3b9cf392"


@pytest.fixture(scope="module")
def splits():
    return pairs()


@pytest.fixture(scope="module")
def spanish(splits):
    return {pair.source: pair.target for made in splits.values() for pair in made}


@pytest.fixture(scope="module")
def found(splits):
    return {pair.source: pair for made in splits.values() for pair in made}


def words(text):
    return [word.strip("¿?").lower() for word in text.split()]


def length(pair):
    return max(len(pair.source.split()), len(pair.target.split()))


# One or more for each thing that a translation has to get right, checked by hand.
CHECKED = {
    "The ball is blue": "La bola es azul",
    # ser and estar
    "The eagle is big": "El águila es grande",
    "The street was clean": "La calle estaba limpia",
    "Were the hats expensive?": "¿Eran caros los sombreros?",
    "Ana and Marta are tall": "Ana y Marta son altas",
    "Pablo and Ana are tired": "Pablo y Ana están cansados",
    "They are happy": "Están contentos",
    # a feminine noun with stressed a
    "The water is cold": "El agua está fría",
    "This eagle drank the water": "Esta águila bebió el agua",
    "An eagle slept in the tree": "Un águila durmió en el árbol",
    "The eagles are very old": "Las águilas son muy viejas",
    # the personal a, and what melts with el
    "I see Ana": "Veo a Ana",
    "Marta saw the tired boy": "Marta vio al niño cansado",
    "I see Marta's car": "Veo el coche de Marta",
    "The king's cup is big": "La taza del rey es grande",
    "Marta was near the river": "Marta estaba cerca del río",
    # pronouns before the verb
    "I see it": "Lo veo",
    "He gives it to me": "Él me lo da",
    "She gives them to Marta": "Ella se los da a Marta",
    "I gave it to her": "Se lo di",
    "He wants to open it": "Él lo quiere abrir",
    "He has not seen you": "Él no te ha visto",
    # pronouns and adjectives that agree with something far away
    "Where is the key? I lost it": "¿Dónde está la llave? La perdí",
    "The big keys that I want are new": "Las llaves grandes que quiero son nuevas",
    "The boy who reads the letters cried": "El niño que lee las cartas lloró",
    "I bought tables and washed them": "Compré mesas y las lavé",
    "I sold my cows because they were big": "Vendí mis vacas porque eran grandes",
    "Ana saw a cup but the man did not buy it": "Ana vio una taza pero el hombre no la compró",
    "Ana is sad because she lost my hat": "Ana está triste porque perdió mi sombrero",
    # tenses and persons
    "I run every day": "Corro todos los días",
    "Yesterday we ran": "Ayer corrimos",
    "Tomorrow he will run": "Mañana él correrá",
    "I have broken them": "Los he roto",
    "He never drinks water": "Él nunca bebe agua",
    "Marta knew Pablo": "Marta conocía a Pablo",
    # whole constructions
    "I like red apples": "Me gustan las manzanas rojas",
    "The man likes cats": "Al hombre le gustan los gatos",
    "There were two cups in the car": "Había dos tazas en el coche",
    "She says that Pablo ran": "Ella dice que Pablo corrió",
    "Why did Marta wash the cups?": "¿Por qué lavó Marta las tazas?",
    "The men are more famous than the women": "Los hombres son más famosos que las mujeres",
    "I drank a cup of coffee": "Bebí una taza de café",
    "All the women cry": "Todas las mujeres lloran",
    "He is Ana's uncle": "Él es el tío de Ana",
}


@pytest.mark.parametrize("english", CHECKED)
def test_hand_checked(spanish, english):
    assert spanish[english] == CHECKED[english]


def test_there_are_enough_and_none_twice(splits):
    assert {name: len(made) for name, made in splits.items()} == COUNTS
    made = [pair.source for split in splits.values() for pair in split]
    assert len(set(made)) == len(made)


def test_they_are_always_the_same(splits):
    digest = hashlib.sha256()
    for name in sorted(splits):
        for pair in splits[name]:
            digest.update(repr((name, *pair)).encode())
    assert digest.hexdigest() == DIGEST


def test_the_split_follows_from_the_sentence(splits):
    for name in ("train", "validation", "test"):
        assert all(split_of(pair.source) == name for pair in splits[name])
    assert "The ball is blue" in {pair.source for pair in splits["test"]}


def test_long_sentences_are_longer_than_all_others(splits):
    ordinary = (length(pair) for name in splits if name != "test_long" for pair in splits[name])
    assert max(ordinary) == LONGEST < min(map(length, splits["test_long"]))


def test_every_word_is_met_in_training(splits):
    for side in ("source", "target"):
        met = Counter(word for pair in splits["train"] for word in words(getattr(pair, side)))
        for name in ("validation", "test", "test_long"):
            asked = {word for pair in splits[name] for word in words(getattr(pair, side))}
            rare = {word for word in asked if met[word] < 5}
            assert not rare


def test_alignments_are_complete(splits):
    for made in splits.values():
        for pair in made:
            source, target = len(pair.source.split()), len(pair.target.split())
            assert all(0 <= one < source and 0 <= other < target for one, other in pair.alignment)
            assert {one for one, _ in pair.alignment} == set(range(source)), pair
            assert {other for _, other in pair.alignment} == set(range(target)), pair
            assert list(pair.alignment) == sorted(set(pair.alignment))


@pytest.mark.parametrize(
    ("english", "links"),
    {
        "The ball is blue": "The-La ball-bola is-es blue-azul",
        "Where is the key? I lost it": "Where-¿Dónde is-está the-la key?-llave? "
        "I-perdí lost-perdí it-La",
        "The king's cup is big": "The-del king's-La king's-del king's-rey cup-taza "
        "is-es big-grande",
        "Marta saw the tired boy": "Marta-Marta saw-vio the-al tired-cansado boy-al boy-niño",
        "I gave it to her": "I-di gave-di it-lo to-Se her-Se",
        "He has not seen you": "He-Él has-ha not-no seen-visto you-te",
        "Tomorrow he will run": "Tomorrow-Mañana he-él will-correrá run-correrá",
        "I like red apples": "I-Me like-gustan red-rojas apples-las apples-manzanas",
        "There were two cups in the car": "There-Había were-Había two-dos cups-tazas in-en "
        "the-el car-coche",
    }.items(),
)
def test_hand_checked_alignments(found, english, links):
    pair = found[english]
    source, target = pair.source.split(), pair.target.split()
    assert sorted(f"{source[one]}-{target[other]}" for one, other in pair.alignment) == sorted(
        links.split()
    )


FEMININE = "manzana sopa carne leche carta foto bola llave mesa silla casa puerta ventana caja"
FEMININE += " botella taza camisa bicicleta flor cocina escuela calle ciudad playa vaca"
MASCULINE = "huevo tomate pastel pan queso café libro periódico poema coche sombrero zapato"
MASCULINE += " vestido árbol jardín parque mercado río perro gato caballo pájaro"


def test_predicates_agree_with_their_distant_subject(splits):
    """The adjective after the verb, through whatever stands between it and the noun."""
    pattern = re.compile(
        r"^(El|La|Los|Las) (\w+) .*?\bque .+ (?:es|son|está|están) (?:muy )?(\w+)$"
    )
    seen = 0
    for pair in (pair for made in splits.values() for pair in made):
        match = pattern.match(pair.target)
        if not match or " que " in pair.target.split(" que ", 1)[1] or "porque" in pair.target:
            continue
        article, noun, adjective = match.groups()
        singular = noun.removesuffix("s") if article in ("Los", "Las") else noun
        if singular not in FEMININE.split() + MASCULINE.split():
            continue
        seen += 1
        assert adjective.endswith("s") == (article in ("Los", "Las")), pair
        if adjective.rstrip("s")[-1] in "ao":
            feminine = adjective.rstrip("s").endswith("a")
            assert feminine == (singular in FEMININE.split()), pair
    assert seen > 500


def test_pronouns_agree_with_the_noun_of_the_question(splits):
    pattern = re.compile(r"^¿Dónde están? (?:el|la|los|las) (\w+)\b.*\? .*\b([Ll][oa]s?) \w+$")
    places = re.compile(r"\? .*\b(en|sobre|de|a)\b")
    seen = 0
    for pair in (pair for made in splits.values() for pair in made):
        match = pattern.match(pair.target)
        if not match or places.search(pair.target):
            continue
        noun, clitic = match.groups()
        if noun.removesuffix("s") in FEMININE.split() + MASCULINE.split():
            seen += 1
            feminine = noun.removesuffix("s") in FEMININE.split()
            assert clitic.lower() == ("la" if feminine else "lo") + "s" * noun.endswith("s"), pair
    assert seen > 200


def test_nothing_is_left_uncontracted(splits):
    """Neither a el nor de el, no el before a stressed a gone wrong, no y before an i."""
    wrong = re.compile(r"\b(a el|de el|la agua|la águila|una águila|este agua|y h?i\w+)\b")
    for made in splits.values():
        assert not [pair for pair in made if wrong.search(pair.target.lower())]


def test_marks(splits):
    for pair in (pair for made in splits.values() for pair in made):
        assert pair.source.count("?") == pair.target.count("?") == pair.target.count("¿")
        assert re.fullmatch(r"[A-Za-z' ?]+", pair.source)
        assert re.fullmatch(r"[A-Za-záéíóúñÁÉÍÓÚ ¿?]+", pair.target)
        assert pair.source[0].isupper() and pair.target.lstrip("¿")[0].isupper()


@pytest.mark.parametrize(
    ("infinitive", "tense", "forms"),
    [
        ("cantar", "present", "canto cantas canta cantamos cantan"),
        ("beber", "preterite", "bebí bebiste bebió bebimos bebieron"),
        ("abrir", "imperfect", "abría abrías abría abríamos abrían"),
        ("comprar", "future", "compraré comprarás comprará compraremos comprarán"),
        ("tener", "future", "tendré tendrás tendrá tendremos tendrán"),
        ("dormir", "preterite", "dormí dormiste durmió dormimos durmieron"),
        ("ser", "imperfect", "era eras era éramos eran"),
        ("creer", "present", "creo crees cree creemos creen"),
    ],
)
def test_conjugation(infinitive, tense, forms):
    assert [conjugate(infinitive, tense, person) for person in range(5)] == forms.split()


def test_participles():
    assert [participle(verb) for verb in ("cantar", "vender", "romper", "leer")] == [
        "cantado",
        "vendido",
        "roto",
        "leído",
    ]


def test_tfds_gives_back_what_was_put_in(splits, tmp_path):
    from attention_jax.data.phrasebook import Phrasebook

    builder = Phrasebook(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    assert {name: info.num_examples for name, info in builder.info.splits.items()} == COUNTS
    for name, made in splits.items():
        rows = builder.as_data_source(name)
        assert len(rows) == len(made)
        places = range(0, len(made), 1 + len(made) // 500)
        for row, at in zip(rows.__getitems__(list(places)), places, strict=True):
            links = tuple(map(tuple, row["alignment"].tolist()))
            assert (row["en"].decode(), row["es"].decode(), links) == made[at]
