import jax.numpy as jnp
import pytest
from flax import nnx

from attention_jax.decoding import DecodingConfig, Translator
from attention_jax.decoding.translate import by_bucket

PAD, START, END = 0, 1, 2
LETTERS = "abcdefgh\nj"


class Letters:
    """A token a letter."""

    def encode_all(self, texts):
        return [
            [3 + LETTERS.index(letter) for letter in text if letter in LETTERS] for text in texts
        ]

    def decode(self, ids):
        ids = list(ids)
        return "".join(LETTERS[token - 3] for token in ids[: ids.index(END)])


class Shift(nnx.Module):
    """Copies the source, every letter moved on by a learned number of places."""

    traces = 0

    def __init__(self, places):
        self.places = nnx.Param(jnp.float32(places))

    def start(self, source, length):
        type(self).traces += 1
        del length
        return {"source": source, "position": jnp.int32(0)}

    def step(self, cache, tokens):
        del tokens
        source = cache["source"]
        token = jnp.take(source, cache["position"], axis=1, mode="clip")
        moved = 3 + (token - 3 + self.places[...].astype(jnp.int32)) % len(LETTERS)
        wanted = jnp.where(token > END, moved, END)
        logits = jnp.where(jnp.arange(3 + len(LETTERS))[None] == wanted[:, None], 5.0, 0.0)
        return logits, {**cache, "position": cache["position"] + 1}


class Sharing(Shift):
    """The beams of a row share the source: nothing to reorder."""

    reorders = 0

    def reorder(self, cache, rows):
        type(self).reorders += 1
        return cache


def translator(model=Shift, source_length=6, **options):
    graph, params = nnx.split(model(1), nnx.Param)
    config = DecodingConfig(**{"rows": 3, "max_length": 8, **options})
    return Translator(graph, params, Letters(), config, source_length)


LINES = ["abc", "", "b", "aabbj", "  ", "c ", "ddd", "ea\n", "gh", "?"]
MOVED = ["bcd", "", "c", "bbcca", "", "d", "eee", "fb", "h", ""]


@pytest.mark.parametrize("beams", [1, 3])
def test_lines_come_back_in_order_from_one_program(beams):
    translate = translator(beams=beams).translate
    traces = Shift.traces
    assert translate(LINES) == MOVED
    assert translate(iter(LINES[2:3])) == MOVED[2:3]
    assert translate(LINES * 3) == MOVED * 3
    assert Shift.traces == traces + 1


def test_nothing_to_translate():
    traces = Shift.traces
    assert translator().translate([]) == []
    assert translator().translate(["", " \n"]) == ["", ""]
    assert Shift.traces == traces  # not even compiled


def test_the_model_reorders_its_own_cache():
    assert translator(Sharing, beams=2).translate(LINES) == MOVED
    assert Sharing.reorders > 0
    assert translator(Sharing, beams=1).translate(LINES) == MOVED


def test_one_line_in_is_one_line_out():
    assert translator().translate(["ahb"]) == ["b c"]  # the letter after h is a line break


def test_a_translation_ends_at_max_length():
    assert translator(max_length=3).translate(["abcd", "a"]) == ["bc", "b"]


def test_too_long_lines_are_refused_before_any_is_translated():
    traces = Shift.traces
    with pytest.raises(ValueError, match=r"line 2 has 7 tokens .* at most 6 fit: .*truncate"):
        translator().translate(["abc", "abcdef", "abcde"])
    with pytest.raises(ValueError, match=r"line 1 .* \(2 more lines are too long\)"):
        translator().translate(["abcdef"] * 3)
    assert Shift.traces == traces


def test_too_long_lines_are_cut_where_that_is_asked_for():
    translate = translator(too_long="truncate").translate
    assert translate(["abc", "abcdefgh"]) == ["bcd", "bcdef"]


def test_what_is_not_lines():
    with pytest.raises(ValueError, match="lines is one string"):
        translator().translate("abc")
    with pytest.raises(ValueError, match="line 2 is None"):
        translator().translate(["abc", None])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"beams": 0}, "beams is 0"),
        ({"rows": 0}, "rows is 0"),
        ({"max_length": 0}, "max_length is 0"),
        ({"penalty": -1.0}, "penalty is -1.0"),
        ({"penalty": float("inf")}, "penalty is inf"),
        ({"too_long": "ignore"}, "too_long is 'ignore'"),
        ({"threads": 0}, "threads is 0; None, or at least 1"),
        ({"weights": "int4"}, "weights is 'int4'"),
    ],
)
def test_configs_that_cannot_be(wrong, message):
    with pytest.raises(ValueError, match=message):
        DecodingConfig(**wrong)


def test_a_source_length_that_holds_no_token():
    with pytest.raises(ValueError, match="source_length is 1"):
        translator(source_length=1)


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_threads_deal_lines_out_and_put_them_back_in_order(threads):
    assert translator(threads=threads, rows=4).translate(LINES * 7) == MOVED * 7


def test_buckets_that_are_worth_a_program():
    lengths = [*[30] * 3, *[17] * 160, *[9] * 2, *[5] * 161]
    assert by_bucket(lengths, longest=40, rows=10) == [(32, 3), (24, 162), (8, 161)]
    assert by_bucket(lengths, longest=40, rows=20) == [(32, 326)]
    assert by_bucket([40, 40], longest=40, rows=1) == [(40, 2)]
    assert by_bucket([3], longest=5, rows=1) == [(5, 1)]
    assert by_bucket([], longest=5, rows=1) == []


def test_lines_of_several_lengths_come_back_in_order():
    translate = translator(source_length=40, rows=1, max_length=40).translate
    lines = ["abcdefgh" * 3, *["ab"] * 16, "c" * 20, *["d"] * 9, *["e" * 9] * 5]
    moved = ["".join(chr(ord(letter) + 1) for letter in line) for line in lines]
    moved = [line.replace("i", "") for line in moved]  # the letter after h is a line break
    found = translate(lines)
    assert [line.replace(" ", "") for line in found] == moved


def test_what_lines_need_is_compiled_ahead():
    ready = translator(source_length=7, max_length=7)
    ready.prepare(LINES)
    traces = Shift.traces
    assert ready.translate(LINES) == MOVED
    assert Shift.traces == traces
    with pytest.raises(ValueError, match="line 1 has 8 tokens"):
        ready.prepare(["abcdefg"])
