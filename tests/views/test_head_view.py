"""What goes into the page of a head view, without a browser."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest

from attention_jax.views.head_view import head_view
from attention_jax.views.head_view_data import POOLED, pooled
from attention_jax.views.readings import Attention, Candidate, Reading
from tests.views.test_escaping import HOSTILE


def rows(*shape, seed=0):
    """Rows that sum to one, a few of them strong."""
    found = np.random.default_rng(seed).random(shape).astype(np.float32) ** 6
    return found / found.sum(-1, keepdims=True)


def words(count):
    return [f"word{place}" for place in range(count)]


def data_of(view):
    return json.loads(re.search(r'id="data">(.*?)</script>', view.html, re.DOTALL)[1])


def numbers(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def kept_rows(layer, sources):
    """The kept weights of a layer as [rows, S], zero where none was kept."""
    counts = numbers(layer["counts"], "<u2")
    found = np.zeros((len(counts), sources), np.float32)
    where = np.repeat(np.arange(len(counts)), counts)
    found[where, numbers(layer["sources"], "<u2")] = numbers(layer["weights"], "<f4")
    return found


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (3, 5, 4), (5, 4)])
def test_short_inputs_keep_every_bit(shape):
    weights = rows(*shape)
    found = data_of(head_view(weights, words(5), words(4)))
    layers = found["readings"][0]["attentions"][0]["layers"]
    assert found["keep"] is None
    read = np.concatenate([numbers(layer["weights"], "<f4") for layer in layers])
    np.testing.assert_array_equal(read, weights.ravel())


def test_layers_may_have_different_numbers_of_heads():
    weights = [rows(3, 4, 4), rows(1, 4, 4), np.zeros((0, 4, 4))]
    layers = data_of(head_view(weights, words(4)))["readings"][0]["attentions"][0]["layers"]
    assert [layer["heads"] for layer in layers] == [3, 1, 0]


def test_long_inputs_keep_the_strongest_of_every_row_and_its_sum():
    weights = np.tril(rows(2, 3, 90, 90))
    weights[0, 1, 50] = 0
    view = head_view(weights, words(90), megabytes=0.1)
    found = data_of(view)
    keep = found["keep"]
    assert 1 <= keep < 90
    for layer, given in zip(
        found["readings"][0]["attentions"][0]["layers"], weights.reshape(2, 270, 90), strict=True
    ):
        read = kept_rows(layer, 90)
        least = np.sort(given, -1)[:, -keep, None]
        np.testing.assert_array_equal(read, np.where(given >= least, given, 0))
        totals = given.sum(-1, dtype=np.float64)
        np.testing.assert_allclose(numbers(layer["totals"], "<f4"), totals, rtol=1e-6)
        assert len(numbers(layer["pooled"], np.uint8)) == 3 * POOLED**2


@pytest.mark.parametrize("megabytes", [0.08, 0.15, 0.25])
def test_the_room_is_used_and_no_more(megabytes):
    frame = len(head_view(rows(1, 1, 1, 1), ["a"]).html) / 1e6
    taken = len(head_view(rows(2, 3, 90, 90), words(90), megabytes=megabytes).html) / 1e6 - frame
    # The tokens come on top.
    assert 0.85 * megabytes < taken < megabytes + 0.004


def test_the_kept_follow_from_the_room_exactly():
    given = rows(1, 2, 30, 40)
    room = {keep: (6 * keep + 6) * 60 * 4 / 3e6 for keep in (1, 7, 20)}
    for keep, megabytes in room.items():
        for slack, expected in ((1e-6, keep), (-1e-6, keep - 1)):
            if expected:
                view = head_view(given, words(30), words(40), megabytes=megabytes + slack)
                assert data_of(view)["keep"] == expected
    with pytest.raises(ValueError, match=r"60 rows of weights; 0\.00096, or fewer"):
        head_view(given, words(30), words(40), megabytes=room[1] - 1e-6)


def test_vectors_that_are_too_large_are_left_out_and_it_says_so():
    vectors = [np.ones((2, 4, 8), np.float32)]
    one = Attention("encoder", rows(1, 2, 4, 4), words(4), words(4), (), vectors, vectors)
    for megabytes, there in ((1.0, True), (0.001, False)):
        found = data_of(head_view(Reading((one,)), megabytes=megabytes))
        assert found["vectorsLeftOut"] is not there
        assert ("query" in found["readings"][0]["attentions"][0]["layers"][0]) is there


@pytest.mark.parametrize("queries, sources", [(POOLED, 130), (97, 3), (1, 200)])
def test_the_small_picture_is_the_mean_of_its_blocks(queries, sources):
    weights = rows(2, queries, sources)
    found = pooled(weights)
    blocks = [
        [slice(i * n // count, (i + 1) * n // count) for i in range(count)]
        for n, count in ((queries, min(queries, POOLED)), (sources, min(sources, POOLED)))
    ]
    expected = [
        [[head[t, s].sum(-1).mean() for s in blocks[1]] for t in blocks[0]] for head in weights
    ]
    np.testing.assert_allclose((found / 255.0) ** 2, expected, atol=0.005)


def test_nothing_from_data_ends_its_element_or_leaves_ascii():
    tokens = list(HOSTILE.values())
    count = len(tokens)
    told = " ".join(tokens)
    steps = ((Candidate(told, -np.inf, -1),),)
    attention = Attention(told, rows(1, 1, count, count), tokens, tokens, tokens)
    reading = Reading((attention,), told, told, told, told, told, steps, (0,))
    found = head_view(reading, title=told)
    harmless = head_view(Reading((Attention("a", rows(1, 1, 1, 1), ["a"], ["a"]),)), title="a")
    split = re.compile(r'(?s)^(.*<script type="application/json" id="data">)(.*?)(</script>.*)$')
    before, data, after = split.match(found.html).groups()
    assert (before, after) == split.match(harmless.html).groups()[::2]
    assert data.isascii() and data.isprintable() and "<" not in data
    assert json.loads(data)["readings"][0]["attentions"][0]["queries"] == tokens


def test_the_policy_names_the_script_and_the_style_and_nothing_else_may_run():
    page = head_view(rows(1, 1, 1, 1), ["a"]).html
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"(?s)<{tag}>(.*?)</{tag}>", page)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    spaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}
    assert set(re.findall(r"(?:https?:)?//[\w.]+\.[\w/]+", page)) <= spaces


def test_it_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    view = head_view(rows(1, 1, 2, 2), words(2))
    path = view.save(tmp_path / "new" / "view.html")
    assert path.read_text("utf-8") == view.html
    before = path.read_bytes()

    def full(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        view.save(path)
    assert [item.read_bytes() for item in path.parent.iterdir()] == [before]


def test_a_terminal_is_not_shown_the_page():
    assert len(repr(head_view(rows(1, 1, 2, 2), words(2)))) < 80


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((rows(1, 2, 3, 3),), r"without tokens; queries="),
        ((rows(1, 2, 3, 3), words(4)), r"\[heads, 4, 4\] would fit"),
        ((rows(2, 1, 2, 3, 3), words(3)), r"\(2, 1, 2, 3, 3\).*one input"),
        (([], words(3)), r"0 layers"),
        ((Reading((Attention("a", rows(1, 1, 1, 1), ["a"], ["a"]),)), ["a"]), r"their own"),
    ],
)
def test_what_does_not_fit_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        head_view(*arguments)


@pytest.mark.parametrize(
    "start, message",
    [
        ({"attention": "cross"}, "found attention='cross'; 'attention' would fit"),
        ({"layer": 2}, "found layer=2; 0 to 1 would fit"),
        ({"layer": 1, "head": 1}, "found head=1; 0 to 0 would fit"),
        ({"query": -1}, "found query=-1; 0 to 3 would fit"),
        ({"beside": 1}, "found beside=1 and 1 readings"),
    ],
)
def test_the_page_opens_only_at_what_is_there(start, message):
    weights = [rows(3, 4, 4), rows(1, 4, 4)]
    with pytest.raises(ValueError, match=message):
        head_view(weights, words(4), **start)
    assert data_of(head_view(weights, words(4), layer=1, head=None))["start"]["head"] == -1
