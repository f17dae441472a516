"""The words: nouns with what may be said of them, adjectives, verbs with what they may take.

Everything that keeps a sentence sensible stands here: which adjectives fit a noun, what can be
eaten, washed or broken, and where things and people are found.
"""

from typing import NamedTuple


class Adjective(NamedTuple):
    """An adjective; `copula` is the Spanish "to be" that it takes, ser or estar."""

    english: str
    spanish: str
    copula: str
    plural: str = ""

    def agree(self, feminine: bool, plural: bool) -> str:
        """The Spanish form for a noun of this gender and number."""
        if plural and self.plural:
            return self.plural
        text = self.spanish[:-1] + "a" if feminine and self.spanish[-1] == "o" else self.spanish
        return pluralize(text) if plural else text


class Noun(NamedTuple):
    """A noun; `plural` is empty for a mass noun or one that is used in the singular only.

    `stressed` marks feminine nouns that begin with a stressed a: el agua fría, un águila negra.
    """

    english: str
    plural: str
    spanish: str
    feminine: bool
    kind: str
    adjectives: tuple[str, ...]
    stressed: bool = False

    @property
    def mass(self) -> bool:
        """Whether it goes without an article: eats bread."""
        return not self.plural and self.kind in ("food", "drink")


class Verb(NamedTuple):
    """A verb.

    `particle` follows the English verb (look for); the past of `stative` verbs is the imperfect.
    """

    base: str
    third: str
    past: str
    participle: str
    spanish: str
    particle: str = ""
    stative: bool = False


def pluralize(spanish: str) -> str:
    """The Spanish plural of a noun or adjective."""
    return spanish + ("s" if spanish[-1] in "aeiouáéó" else "es")


ADJECTIVES = {
    adjective.english: adjective
    for adjective in (
        *(
            Adjective(*words.split())
            for words in (
                "red rojo ser",
                "blue azul ser",
                "green verde ser",
                "white blanco ser",
                "black negro ser",
                "yellow amarillo ser",
                "big grande ser",
                "small pequeño ser",
                "old viejo ser",
                "new nuevo ser",
                "tall alto ser",
                "strong fuerte ser",
                "intelligent inteligente ser",
                "famous famoso ser",
                "beautiful hermoso ser",
                "expensive caro ser",
                "cheap barato ser",
                "heavy pesado ser",
                "happy contento estar",
                "sad triste estar",
                "tired cansado estar",
                "sick enfermo estar",
                "clean limpio estar",
                "dirty sucio estar",
                "broken roto estar",
                "empty vacío estar",
                "closed cerrado estar",
                "hot caliente estar",
                "cold frío estar",
                "delicious delicioso estar",
            )
        ),
        Adjective("young", "joven", "ser", "jóvenes"),
    )
}

COLOURS = frozenset(["red", "blue", "green", "white", "black", "yellow"])

STATES = frozenset(["clean", "dirty", "broken", "empty", "closed"])

MOODS = frozenset(["happy", "sad", "tired", "sick"])

ABSOLUTE = COLOURS | frozenset(["broken", "empty", "closed", "delicious"])
"""Adjectives that do not go with "very"."""

COMPARED = frozenset(["expensive", "beautiful", "intelligent", "famous"])
"""Adjectives that English compares with "more"."""

_TONES = "red blue green white black yellow"

_WARES = "big small new old expensive cheap"

_PEOPLE = "tall intelligent strong happy sad tired sick"

_NOUNS = f"""
person | boy      | boys     | niño     | m | {_PEOPLE} small
person | girl     | girls    | niña     | f | {_PEOPLE} small
person | man      | men      | hombre   | m | {_PEOPLE} old young famous
person | woman    | women    | mujer    | f | {_PEOPLE} old young famous beautiful
person | king     |          | rey      | m | {_PEOPLE} old young famous
person | queen    |          | reina    | f | {_PEOPLE} old young famous beautiful
kin    | brother  | brothers | hermano  | m | {_PEOPLE} famous
kin    | sister   | sisters  | hermana  | f | {_PEOPLE} famous
kin    | father   |          | padre    | m | {_PEOPLE} famous
kin    | mother   |          | madre    | f | {_PEOPLE} famous
kin    | uncle    | uncles   | tío      | m | {_PEOPLE} famous
kin    | aunt     | aunts    | tía      | f | {_PEOPLE} famous
animal | dog      | dogs     | perro    | m | white black big small old sick tired strong
animal | cat      | cats     | gato     | m | white black big small old sick tired
animal | horse    | horses   | caballo  | m | white black big small old sick tired strong beautiful
animal | cow      | cows     | vaca     | f | white black big small old sick
animal | bird     | birds    | pájaro   | m | {_TONES} big small beautiful
animal | eagle    | eagles   | águila   | F | white black big small old beautiful
food   | apple    | apples   | manzana  | f | red green yellow big small delicious expensive cheap
food   | egg      | eggs     | huevo    | m | white big small delicious expensive cheap
food   | tomato   | tomatoes | tomate   | m | red green big small delicious expensive cheap
food   | cake     | cakes    | pastel   | m | big small delicious expensive cheap
food   | bread    |          | pan      | m | hot cold delicious expensive cheap
food   | cheese   |          | queso    | m | delicious expensive cheap
food   | soup     |          | sopa     | f | hot cold delicious
food   | meat     |          | carne    | f | hot cold delicious expensive cheap
drink  | water    |          | agua     | F | hot cold
drink  | milk     |          | leche    | f | hot cold
drink  | coffee   |          | café     | m | hot cold delicious expensive cheap
thing  | book     | books    | libro    | m | {_TONES} {_WARES} heavy
thing  | letter   | letters  | carta    | f | old beautiful
thing  | newspaper| newspapers| periódico| m | old
thing  | poem     | poems    | poema    | m | old new beautiful famous
thing  | photo    | photos   | foto     | f | big small old new beautiful
thing  | ball     |          | bola     | f | {_TONES} {_WARES} clean dirty
thing  | key      | keys     | llave    | f | big small old new
thing  | table    | tables   | mesa     | f | {_TONES} {_WARES} heavy clean dirty broken
thing  | chair    | chairs   | silla    | f | {_TONES} {_WARES} heavy clean dirty broken
thing  | car      | cars     | coche    | m | {_TONES} {_WARES} beautiful clean dirty
thing  | house    | houses   | casa     | f | {_TONES} {_WARES} beautiful clean dirty empty
thing  | door     | doors    | puerta   | f | {_TONES} big small old new closed dirty
thing  | window   | windows  | ventana  | f | big small old new closed broken clean dirty
thing  | box      | boxes    | caja     | f | {_TONES} big small old new heavy empty closed
thing  | bottle   | bottles  | botella  | f | green blue white big small empty broken
thing  | cup      | cups     | taza     | f | {_TONES} {_WARES} clean dirty broken empty
thing  | hat      | hats     | sombrero | m | {_TONES} {_WARES} beautiful
thing  | shirt    | shirts   | camisa   | f | {_TONES} {_WARES} beautiful clean dirty
thing  | shoe     | shoes    | zapato   | m | {_TONES} {_WARES} clean dirty
thing  | dress    | dresses  | vestido  | m | {_TONES} {_WARES} beautiful clean dirty
thing  | bicycle  | bicycles | bicicleta| f | {_TONES} {_WARES} beautiful broken dirty
thing  | flower   | flowers  | flor     | f | red white yellow blue big small beautiful
thing  | tree     | trees    | árbol    | m | big small old beautiful
place  | garden   |          | jardín   | m | big small old beautiful
place  | kitchen  |          | cocina   | f | big small new clean dirty
place  | school   |          | escuela  | f | big small old new
place  | park     |          | parque   | m | big small beautiful clean
place  | street   |          | calle    | f | clean dirty empty
place  | city     |          | ciudad   | f | big small old beautiful famous
place  | market   |          | mercado  | m | big small old new
place  | beach    |          | playa    | f | big small beautiful clean
place  | river    |          | río      | m | big small beautiful
"""


def _noun(line: str) -> Noun:
    kind, english, plural, spanish, gender, adjectives = (x.strip() for x in line.split("|"))
    return Noun(
        english, plural, spanish, gender in "fF", kind, tuple(adjectives.split()), gender == "F"
    )


NOUNS = {noun.english: noun for noun in map(_noun, _NOUNS.strip().splitlines())}

NAMES = {"Ana": True, "Marta": True, "Carlos": False, "Pablo": False}
"""Names, the same in both languages: whether they are women's."""

VERBS = {
    verb.base: verb
    for verb in (
        Verb("sing", "sings", "sang", "sung", "cantar"),
        Verb("sleep", "sleeps", "slept", "slept", "dormir"),
        Verb("run", "runs", "ran", "run", "correr"),
        Verb("work", "works", "worked", "worked", "trabajar"),
        Verb("play", "plays", "played", "played", "jugar"),
        Verb("cry", "cries", "cried", "cried", "llorar"),
        Verb("live", "lives", "lived", "lived", "vivir", stative=True),
        Verb("go", "goes", "went", "gone", "ir"),
        Verb("eat", "eats", "ate", "eaten", "comer"),
        Verb("drink", "drinks", "drank", "drunk", "beber"),
        Verb("buy", "buys", "bought", "bought", "comprar"),
        Verb("sell", "sells", "sold", "sold", "vender"),
        Verb("see", "sees", "saw", "seen", "ver"),
        Verb("look", "looks", "looked", "looked", "buscar", particle="for"),
        Verb("find", "finds", "found", "found", "encontrar"),
        Verb("lose", "loses", "lost", "lost", "perder"),
        Verb("wash", "washes", "washed", "washed", "lavar"),
        Verb("paint", "paints", "painted", "painted", "pintar"),
        Verb("break", "breaks", "broke", "broken", "romper"),
        Verb("open", "opens", "opened", "opened", "abrir"),
        Verb("read", "reads", "read", "read", "leer"),
        Verb("write", "writes", "wrote", "written", "escribir"),
        Verb("want", "wants", "wanted", "wanted", "querer", stative=True),
        Verb("have", "has", "had", "had", "tener", stative=True),
        Verb("help", "helps", "helped", "helped", "ayudar"),
        Verb("visit", "visits", "visited", "visited", "visitar"),
        Verb("know", "knows", "knew", "known", "conocer", stative=True),
        Verb("give", "gives", "gave", "given", "dar"),
        Verb("send", "sends", "sent", "sent", "enviar"),
        Verb("like", "likes", "liked", "liked", "gustar"),
        Verb("say", "says", "said", "said", "decir"),
        Verb("think", "thinks", "thought", "thought", "creer", stative=True),
    )
}
