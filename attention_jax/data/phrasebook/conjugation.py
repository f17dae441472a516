"""Spanish verbs: regular endings, and what is irregular about the verbs of the lexicon.

Persons are numbered 0 yo, 1 tú, 2 él or ella, 3 nosotros, 4 ellos or ellas.
"""

from functools import cache

_ENDINGS = {
    "present": {"a": "o as a amos an", "e": "o es e emos en", "i": "o es e imos en"},
    "preterite": {
        "a": "é aste ó amos aron",
        "e": "í iste ió imos ieron",
        "i": "í iste ió imos ieron",
    },
    "imperfect": {
        "a": "aba abas aba ábamos aban",
        "e": "ía ías ía íamos ían",
        "i": "ía ías ía íamos ían",
    },
}

_FUTURE = "é ás á emos án"

_IRREGULAR = {
    "present": {
        "ser": "soy eres es somos son",
        "estar": "estoy estás está estamos están",
        "haber": "he has ha hemos han",
        "dormir": "duermo duermes duerme dormimos duermen",
        "jugar": "juego juegas juega jugamos juegan",
        "ver": "veo ves ve vemos ven",
        "encontrar": "encuentro encuentras encuentra encontramos encuentran",
        "perder": "pierdo pierdes pierde perdemos pierden",
        "querer": "quiero quieres quiere queremos quieren",
        "tener": "tengo tienes tiene tenemos tienen",
        "conocer": "conozco conoces conoce conocemos conocen",
        "dar": "doy das da damos dan",
        "enviar": "envío envías envía enviamos envían",
        "decir": "digo dices dice decimos dicen",
        "ir": "voy vas va vamos van",
        "poder": "puedo puedes puede podemos pueden",
    },
    "preterite": {
        "dormir": "dormí dormiste durmió dormimos durmieron",
        "jugar": "jugué jugaste jugó jugamos jugaron",
        "buscar": "busqué buscaste buscó buscamos buscaron",
        "ver": "vi viste vio vimos vieron",
        "leer": "leí leíste leyó leímos leyeron",
        "dar": "di diste dio dimos dieron",
        "decir": "dije dijiste dijo dijimos dijeron",
        "ir": "fui fuiste fue fuimos fueron",
    },
    "imperfect": {"ser": "era eras era éramos eran"},
}

_FUTURE_STEMS = {"tener": "tendr", "querer": "querr", "decir": "dir", "poder": "podr"}

_PARTICIPLES = {
    "ver": "visto",
    "romper": "roto",
    "abrir": "abierto",
    "escribir": "escrito",
    "leer": "leído",
    "decir": "dicho",
}


@cache
def conjugate(infinitive: str, tense: str, person: int) -> str:
    """One finite form.

    Args:
      infinitive: such as "cantar".
      tense: "present", "preterite", "imperfect" or "future".
      person: 0 to 4, see above.
    """
    if tense == "future":
        return _FUTURE_STEMS.get(infinitive, infinitive) + _FUTURE.split()[person]
    irregular = _IRREGULAR[tense].get(infinitive)
    if irregular is not None:
        return irregular.split()[person]
    return infinitive[:-2] + _ENDINGS[tense][infinitive[-2]].split()[person]


@cache
def participle(infinitive: str) -> str:
    """The past participle that follows haber, which never agrees."""
    regular = infinitive[:-2] + ("ado" if infinitive[-2] == "a" else "ido")
    return _PARTICIPLES.get(infinitive, regular)
