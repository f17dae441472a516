"""What may go with what: the objects of verbs, the places of deeds, the spots of things."""

from attention_jax.data.phrasebook.lexicon import COLOURS, NOUNS, STATES


def _split(lines: str) -> dict[str, tuple[str, ...]]:
    """A table of words by name; a line without a name carries the one before it on."""
    table: dict[str, tuple[str, ...]] = {}
    name = ""
    for line in lines.strip().splitlines():
        before, colon, words = line.rpartition(":")
        name = before.strip() if colon else name
        table[name] = (*table.get(name, ()), *words.split())
    return table


_FOOD = "apple egg tomato cake bread cheese soup meat"

_DRINK = "water milk coffee"

_CLOTHES = "hat shirt shoe dress"

_SMALL = "ball key book letter newspaper photo cup bottle box flower"

OBJECTS = _split(f"""
eat:   {_FOOD} apple egg cake
drink: {_DRINK}
buy:   {_CLOTHES} {_FOOD} milk coffee house car bicycle horse cow dog book newspaper table chair
       cup box ball flower
sell:  {_CLOTHES} apple egg tomato cake bread cheese milk house car bicycle horse cow book
       newspaper table chair cup ball flower
see:   {_CLOTHES} {_SMALL} house car bicycle tree dog cat horse cow bird eagle
look:  {_CLOTHES} ball key book letter newspaper photo bottle cup dog cat horse bicycle
find:  {_CLOTHES} ball key book letter newspaper photo bottle cup dog cat horse bicycle
lose:  {_CLOTHES} ball key book letter photo
wash:  {_CLOTHES} cup bottle car window apple tomato table chair
paint: house door table chair window box bicycle
break: cup bottle window chair
open:  door window box bottle letter book
read:  book letter newspaper poem
write: letter poem book
want:  {_CLOTHES} {_FOOD} {_DRINK} ball key book newspaper table chair cup car house bicycle
       flower dog horse
have:  {_CLOTHES} ball key book newspaper letter photo table chair cup box car house bicycle dog
       cat horse cow
give:  {_CLOTHES} ball key book letter newspaper photo cup box flower apple cake
send:  {_SMALL} hat shirt dress
""")
"""The nouns that each verb takes as its thing; a noun named twice is met more often."""

HELPED = ("see", "look", "help", "visit", "know", "find")
"""Verbs that take people."""

DEEDS = ("eat", "drink", "buy", "sell", "see", "look", "find", "lose", "wash", "paint", "break")

DEEDS = (*DEEDS, "open", "read", "write", "want", "have")
"""Verbs that take things."""

_TENDED = STATES - {"dirty"}

UNFIT = {
    "wash": _TENDED | {"new", "famous"},
    "write": COLOURS | {"heavy", "big", "small", "new", "old", "expensive", "cheap"},
    "see": frozenset({"famous"}),
    "look": frozenset({"heavy"}),
    "find": frozenset({"heavy"}),
}
"""Adjectives that the object of a verb does not take; STATES for a verb that is not named."""


def fit(verb: str, noun: str) -> tuple[str, ...]:
    """The adjectives that a noun may carry as the object of a verb."""
    unfit = UNFIT.get(verb, STATES)
    return tuple(adjective for adjective in NOUNS[noun].adjectives if adjective not in unfit)


HAUNTS = _split("""
sing:  in-garden in-park in-street in-kitchen at-school at-beach
sleep: in-garden in-house in-park in-car at-beach
run:   in-park in-street in-garden at-beach
work:  in-kitchen in-garden in-park at-market at-school in-city
play:  in-park in-street in-garden at-school at-beach
cry:   in-kitchen in-garden in-street at-school in-park
live:  in-city in-house
eat:   in-kitchen in-garden in-park at-school at-beach
buy:   at-market in-city
sell:  at-market in-street in-city
see:   in-street in-park at-market at-beach
find:  in-street in-park in-kitchen in-garden at-beach
lose:  in-street in-park at-market at-beach
read:  in-garden in-park in-kitchen at-school at-beach
""")
"""Where people do it: preposition and place."""

BEASTS = {
    "dog": ("sleep", "run", "play"),
    "cat": ("sleep", "play"),
    "horse": ("sleep", "run"),
    "cow": ("sleep",),
    "bird": ("sing", "sleep"),
    "eagle": ("sleep",),
}
"""What animals do."""

FODDER = {
    "dog": ("bread", "meat", "water"),
    "cat": ("meat", "milk", "water", "cheese"),
    "horse": ("apple", "water"),
    "cow": ("water",),
    "bird": ("bread", "water"),
    "eagle": ("meat", "water"),
}
"""What animals eat and drink."""

_INSIDE = "in-kitchen in-house in-garden in-car in-box"

_PERSON = "in-garden in-kitchen in-park in-street in-house in-car at-school at-market at-beach"

SPOTS = _split(f"""
small:   {_INSIDE} on-table on-chair on-box under-table under-chair next-door next-window next-box
         behind-door
seat:    in-kitchen in-garden in-house next-window next-door under-tree near-tree behind-house
wheels:  in-street in-garden behind-house near-house near-school near-park near-river next-house
         next-tree
house:   near-river near-park near-school near-market near-beach in-city next-school behind-school
tree:    in-garden in-park near-house near-river behind-house next-house next-school
person:  {_PERSON} near-river near-house near-tree behind-house behind-tree next-door next-window
         next-car
pet:     in-garden in-house in-street in-kitchen under-table under-chair under-tree behind-house
         behind-door next-door next-window near-house
herd:    in-garden in-street near-river near-house near-tree behind-house under-tree at-market
bird:    in-garden in-tree on-house near-river near-window
eagle:   in-tree on-house near-river near-beach
place:   near-river near-beach near-park near-school near-market
""")
"""Where things, animals and people are: preposition and landmark."""

_SPOTS_OF = _split("""
small:  ball key book letter newspaper photo cup bottle hat shirt shoe dress flower apple egg
        tomato cake
seat:   table chair
wheels: car bicycle
house:  house
tree:   tree
pet:    dog cat
herd:   horse cow
bird:   bird
eagle:  eagle
place:  school market park
person: boy girl man woman king queen brother sister mother father uncle aunt
""")

PLACED = {
    noun: tuple(spot for spot in SPOTS[group] if spot.split("-")[1] != noun)
    for group, nouns in _SPOTS_OF.items()
    for noun in nouns
}
"""For every noun that can be somewhere, the spots where it can be."""

PORTABLE = tuple(_SPOTS_OF["small"][:12])
"""Things that get lost."""

REASONS = (
    # what was done, whether with "not", and what the thing was
    ("wash", False, ("dirty",)),
    ("sell", False, ("old", "big", "small")),
    ("buy", False, ("cheap", "new", "beautiful", "delicious")),
    ("buy", True, ("expensive", "old", "dirty", "big", "small")),
    ("want", False, ("beautiful", "new", "cheap", "delicious")),
    ("want", True, ("old", "expensive", "small", "dirty", "big")),
    ("eat", True, ("cold", "hot")),
    ("drink", True, ("cold", "hot")),
    ("eat", False, ("delicious",)),
    ("paint", False, ("old", "dirty")),
    ("open", True, ("heavy",)),
)
"""Why people do things."""

SEQUENCES = (
    ("buy", "eat"),
    ("buy", "wash"),
    ("buy", "paint"),
    ("buy", "read"),
    ("buy", "lose"),
    ("find", "wash"),
    ("find", "open"),
    ("find", "read"),
    ("find", "sell"),
    ("paint", "sell"),
    ("wash", "eat"),
    ("wash", "sell"),
    ("open", "read"),
    ("lose", "find"),
    ("lose", "look"),
    ("see", "buy"),
    ("write", "read"),
    ("write", "send"),
)
"""Two things done one after the other to the same object."""

SHARED = {
    pair: tuple(noun for noun in OBJECTS[pair[0]] if noun in OBJECTS[pair[1]]) for pair in SEQUENCES
}

CONTENTS = {"bottle": ("water", "milk"), "cup": ("coffee", "milk", "water")}
"""What vessels hold."""
