"""Whatever data say, a report has the tags, attributes and addresses of a harmless one."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from attention_jax.analysis.significance import BleuTest
from attention_jax.views import figure
from attention_jax.views.report import write_report
from attention_jax.views.tables import Table, Text, markdown_table, plain
from tests.views.made_up import description, head, pruning, record

# No font has all letters; what it lacks, it draws as a box.
pytestmark = pytest.mark.filterwarnings("ignore:Glyph .* missing:UserWarning")

HARMLESS = "plain"
HOSTILE = {
    "script": "</script><img src=x onerror=alert(1)>",
    "end of style": "</style></title></pre></main><script>alert(1)</script>",
    "quotes": '" onmouseover="alert(1)" x=\'y\' `',
    "comment": "<!-- --!> <![CDATA[ ]]> <?php ?>",
    "entities": "&lt;b&gt; &#60;script&#62; &amp;",
    "line separators": "a\u2028b\u2029c\nd\r\ne\x85f",
    "controls": "a\x00b\x07c\x1b[31md\x7fe\x9bf",
    "half characters": "a\ud800b\udfffc",
    "right to left": "\u202egnp.exe\u2066\u200f",
    "address": "javascript:alert(1) https://example.org/x.png //example.org",
    "style": "}; * { background: url(https://example.org) } @import 'x'; expression(1)",
    "markdown": "![x](https://example.org/x.png) [y](javascript:alert(1)) [z]: //example.org",
    "table": "a | b \\| c \\\\| d ||",
    "code": "``` ` ~~~ `` | ```",
    "mathematics": "$\\frac{a}{ $ \\input{x} %s {0} {",
    "path": "../../../etc/passwd",
    "long": "x" * 3_000,
}

MARKUP = ("script", "end of style", "quotes", "comment", "entities", "address", "style")
TOGETHER = {
    "markup": " ".join(HOSTILE[name] for name in MARKUP),
    "text": " ".join(word for name, word in HOSTILE.items() if name not in (*MARKUP, "long")),
}
WORDS = [*TOGETHER, *(pytest.param(name, marks=pytest.mark.slow) for name in HOSTILE)]


@pytest.fixture(scope="module")
def undrawn():
    """Figures are made but not drawn, in less time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure, "png", lambda figure: b"a picture")
        yield


class Skeleton(HTMLParser):
    """Tags with the names of their attributes, the attributes' values, and text by tag."""

    SHOWN = {"alt", "aria-label", "src", "srcset", "width", "height"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.values, self.others, self.text = [], set(), [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.values |= {(tag, *each) for each in attrs if each[0] not in self.SHOWN}
        for name, value in attrs:
            if name in ("src", "srcset"):
                assert re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/=]+", value)

    def handle_endtag(self, tag):
        self.tags.append(("/", tag))

    def handle_comment(self, data):
        self.others.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment

    def handle_data(self, data):
        self.text.append(data)


def write(folder, word):
    """A report in which everything that data can say is, or holds, the word."""
    one, two = f"{word} 1", f"{word} 2"
    runs = [
        {**record(variant, seed, loss + 0.01 * seed), "name": word, "device": word}
        for variant, loss in ((one, 0.1), (two, 0.2))
        for seed in (0, 1)
    ]
    for run in runs:
        run["test"] = {word: run["test"]["test"]}
    weights = np.full((1, 1, 2, 2), 0.5)
    tokens = [word, "b"]
    maps = {"source_tokens": tokens, "target_tokens": tokens, "cross": weights}
    heads = description(head(word, 0, 0, previous=0.9), name=word, split=word, similarity={})
    left = pruning(name=word, metric=word)
    left["curves"] = {word: left["curves"]["random"]}
    left["one_left"][0]["part"] = word
    left["removed"][1]["what"] = word
    return write_report(
        folder,
        runs,
        {(one, 0): [(1, 2.0), (2, 1.0)], (two, 0): [(1, 2.0)]},
        {one: maps},
        title=word,
        command=word,
        environment={word: {word: [word]}, "device": word, "command": [word]},
        notes=[word],
        samples={one: [(word, f"{word} x", word), (word, word, word)]},
        expected=[(one, 0), (one, 1), (two, 0), (two, 1), (f"{word} 3", 0)],
        heads={one: heads},
        pruning={one: left},
        significance=[BleuTest(two, one, 42.0, 41.5, 41.9, 1.2, 0.0004, 0.0008)],
    )


@pytest.fixture(scope="module")
def harmless(undrawn, tmp_path_factory):
    return write(tmp_path_factory.mktemp("harmless") / "report", HARMLESS)


@pytest.fixture(scope="module", params=WORDS)
def hostile(request, undrawn, tmp_path_factory):
    word = {**HOSTILE, **TOGETHER}[request.param]
    return word, write(tmp_path_factory.mktemp("hostile") / "report", word)


@pytest.mark.parametrize(
    "word",
    [
        HOSTILE["half characters"] + HOSTILE["controls"] + HOSTILE["mathematics"],
        pytest.param(HOSTILE["line separators"] + HOSTILE["right to left"], marks=pytest.mark.slow),
        pytest.param(HOSTILE["long"], marks=pytest.mark.slow),
    ],
    ids=["unshown", "separators", "long"],
)
def test_pictures_are_drawn_whatever_they_say(tmp_path, monkeypatch, word):
    monkeypatch.setattr(figure, "DOTS", 20)
    pictures = list(write(tmp_path / "report", word).glob("*.png"))
    assert len(pictures) > 8
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def page(folder):
    return Skeleton((folder / "index.html").read_text("utf-8"))


def test_the_page_has_the_tags_of_a_harmless_one(harmless, hostile):
    word, folder = hostile
    expected, found = page(harmless), page(folder)
    assert len(expected.tags) > 300
    assert found.tags == expected.tags
    assert found.values == expected.values
    assert found.others == expected.others == ["DOCTYPE html"]
    shown = "".join(found.text)
    readable = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", word)
    assert " ".join(readable.split()) in " ".join(shown.split())


def test_no_file_but_those_of_the_report(harmless, hostile):
    _, folder = hostile
    files = [path for path in folder.parent.rglob("*") if path.is_file()]
    assert {path.parent for path in files} == {folder}
    plain = [path for path in harmless.iterdir() if path.suffix != ".png"]
    assert len(files) == len(list(harmless.iterdir()))
    assert {path.name for path in plain} <= {path.name for path in files}
    assert all(re.fullmatch(r"[a-z0-9-]{1,120}\.(png|html|md|jsonl?)", path.name) for path in files)


def test_nothing_that_a_terminal_obeys_is_in_a_report(hostile):
    _, folder = hostile
    for path in folder.glob("*.[hmj]*"):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", path.read_text("utf-8")), path


def test_data_are_handed_on_as_they_are(hostile):
    word, folder = hostile
    lines = (folder / "results.jsonl").read_text("utf-8").split("\n")
    assert json.loads(lines[0])["variant"] == f"{word} 1" and len(lines) == 5
    assert list(json.loads((folder / "pruning.json").read_text("utf-8"))) == [f"{word} 1"]


def blocks(text):
    """What each line of Markdown is: a heading, a row of so many cells, an item, or a paragraph."""
    kinds = []
    for line in text.split("\n"):
        bare = re.sub(r"\\.", "", line)
        if line.startswith("|"):
            kinds.append(("row", bare.count("|")))
        else:
            found = re.match(r"#+ |- |!\[|`|[>~=]|\d+[.)] ", line)
            kinds.append(found[0] if found else bool(line))
    return kinds


def test_the_markdown_has_the_form_of_a_harmless_one(harmless, hostile):
    _, folder = hostile
    expected, found = ((one / "report.md").read_text("utf-8") for one in (harmless, folder))
    assert blocks(found) == blocks(expected) and len(blocks(found)) > 60
    inline = [re.sub(r"\\.|^Command: `.*", "", line) for line in found.split("\n")]
    for line in inline:
        assert "<" not in line.replace("<br>", "") and "`" not in line
        # No link and no address of one but those of the pictures beside the page.
        assert not re.search(r"\]\[|\]:", line)
        for target in re.findall(r"\]\(([^)]*)", line):
            assert re.fullmatch(r"[a-z0-9-]+\.png", target) and (folder / target).exists()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a|b", "a\\|b"),
        ("a\\|b", "a\\\\\\|b"),
        ("`a`", "\\`a\\`"),
        ("# a", "\\# a"),
        ("1. a", "1\\. a"),
        ("- a", "\\- a"),
        ("-0.5", "-0.5"),
        ("+0.1 [−1, 2]", "+0.1 [−1, 2]"),
        ("1 head (a)", "1 head (a)"),
        ("![a](b)", "![a]\\(b)"),
        ("[a]: b", "[a]\\: b"),
        ("<a> & b", "&lt;a> &amp; b"),
        ("a\n\u2028b", "a b"),
        ("key_value_heads 2, a*b", "key_value_heads 2, a*b"),
    ],
)
def test_markdown_is_plain(text, kept):
    assert plain(text) == kept


@pytest.mark.parametrize("word", HOSTILE.values(), ids=HOSTILE)
def test_a_cell_stays_a_cell(word):
    table = Table(word, [word, "b"], [[Text(word, word, word, word), word], ["a", "b"]])
    rows = markdown_table(table).split("\n")
    assert [re.sub(r"\\.", "", row).count("|") for row in rows] == [3, 3, 3, 3]
