"""The page of a head view in a real browser: what it shows, what it does, what it never does."""

import re
import shutil
from contextlib import contextmanager

import numpy as np
import pytest

from attention_jax.views.head_view import head_view
from attention_jax.views.readings import Attention, Candidate, Reading
from tests.views.test_escaping import HOSTILE
from tests.views.test_head_view import rows, words

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install playwright"
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=f"needs one of {', '.join(NAMES)}")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-first-run",
)  # fmt: skip
SOURCE = ["The", "ball", "is", "blue", "<eos>"]
TARGET = ["<bos>", "Der", "Ball", "ist", "blau"]
WRITTEN = [*TARGET[1:], "<eos>"]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield found
        found.close()


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """Opens a view from disk; leaving it, nothing may have gone wrong or been asked for outside."""

    @contextmanager
    def opening(view, **options):
        path = view.save(tmp_path_factory.mktemp("view") / "view.html")
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
        wrong = []

        def routed(route):
            if route.request.url.startswith("file:"):
                return route.continue_()
            wrong.append(route.request.url)
            return route.abort()

        context.route("**/*", routed)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message) or dialog.dismiss())
        page.goto(path.as_uri())
        yield page
        assert not wrong
        context.close()

    return opening


def vectors(heads, length, features=6, seed=0):
    return np.random.default_rng(seed).normal(size=(heads, length, features)).astype(np.float32)


def attended(name, queries, sources, chosen=(), layers=2, heads=4, seed=0):
    """Two heads share the keys of a group; the weights are the softmax that the vectors say."""
    query = [vectors(heads, len(queries), seed=seed + 2 * at) for at in range(layers)]
    key = [vectors(heads // 2, len(sources), seed=seed + 2 * at + 1) for at in range(layers)]
    weights = []
    for one, other in zip(query, key, strict=True):
        powers = np.exp(one @ other.repeat(2, 0).swapaxes(1, 2) / np.sqrt(6))
        weights.append(powers / powers.sum(-1, keepdims=True))
    return Attention(name, weights, queries, sources, chosen, query, key)


def translator(model, moment, heads=4, seed=0):
    attentions = (
        attended("encoder", SOURCE, SOURCE, (), heads=heads, seed=seed),
        attended("decoder", TARGET, TARGET, WRITTEN, heads=heads, seed=seed + 10),
        attended("cross", TARGET, SOURCE, WRITTEN, heads=heads, seed=seed + 20),
    )
    beams = (
        (("Die", -0.5, -1), ("Der", -0.7, -1)),
        (("Ball", -0.9, 1), ("Kugel", -1.0, 0)),
        (("ist", -1.1, 0), ("war", -2.0, 0)),
        (("blau", -1.2, 0), ("rot", -np.inf, 1)),
        (("<eos>", -1.3, 0), ("<eos>", -2.25, 1)),
    )
    steps = tuple(tuple(Candidate(*one) for one in step) for step in beams)
    texts = ("The ball is blue", "Der Ball ist blau")
    return Reading(attentions, model, moment, "", *texts, steps, (1, 0, 0, 0, 0))


MOMENTS = ("step 0", "step 50", "step 100")
READINGS = [
    translator(model, moment, heads, 100 * heads + place)
    for model, heads in (("four heads", 4), ("two heads", 2))
    for place, moment in enumerate(MOMENTS)
]


@pytest.fixture(scope="module")
def translators(opened):
    """One page for all tests that say anew what they look at."""
    start = {"attention": "cross", "layer": 1, "head": None, "query": 2, "beside": 3}
    with opened(head_view(READINGS, title="A translator", **start)) as page:
        found = {"kind": "cross", "layer": 1, "head": -1, "query": 2, "other": 3}
        assert found.items() <= state(page).items()
        yield page


def show(page, **what):
    start = {
        "reading": 0, "kind": "cross", "layer": 0, "head": 0, "query": 0, "source": None,
        "other": None, "otherLayer": None, "otherHead": None,
    }  # fmt: skip
    page.evaluate("what => attentionView.show(what)", start | what)


def state(page):
    return page.evaluate("attentionView.state()")


def given(reading=0, kind="cross"):
    return next(one for one in READINGS[reading].attentions if one.name == kind)


def read_back(page, attention, name, reading=0):
    """All weights that the page gives, by layer."""
    found = page.evaluate(
        """([reading, attention, heads, queries]) => heads.map((count, layer) =>
          [...Array(count).keys()].map((head) => [...Array(queries).keys()].map((query) => {
            const row = attentionView.weights({reading, attention, layer, head, query});
            return [row.sources, row.weights];
          })))""",
        [reading, name, [len(layer) for layer in attention.weights], len(attention.queries)],
    )
    layers = []
    for heads in found:
        layer = np.zeros((len(heads), len(attention.queries), len(attention.sources)), np.float32)
        for head, of_head in enumerate(heads):
            for query, (sources, weights) in enumerate(of_head):
                assert np.array_equal(np.float32(weights), weights)
                layer[head, query, sources] = weights
        layers.append(layer)
    return layers


def shown_table(page, name="row-table"):
    return page.eval_on_selector_all(
        f"#{name} tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )


def test_numbers_read_back_are_those_given(translators):
    for place, reading in enumerate(READINGS):
        for one in reading.attentions:
            found = read_back(translators, one, one.name, place)
            for read, weights in zip(found, one.weights, strict=True):
                np.testing.assert_array_equal(read, weights)


def test_the_table_shows_the_row_in_focus_to_the_last_bit(translators):
    for layer, head, query in ((0, 0, 0), (1, 3, 4), (0, 2, 1)):
        show(translators, layer=layer, head=head, query=query)
        weights = given().weights[layer][head, query]
        found = shown_table(translators)
        order = np.argsort(-weights, kind="stable")
        assert [row[0] for row in found] == [SOURCE[source] for source in order]
        assert [int(row[1]) for row in found] == list(order + 1)
        assert [np.float32(row[2]) for row in found] == list(weights[order])
    translators.get_by_label("Order").select_option("as in the text")
    assert [row[0] for row in shown_table(translators)] == SOURCE
    translators.get_by_label("Order").select_option("strongest first")


def test_the_mean_of_the_heads(translators):
    show(translators, layer=1, head=-1, query=2)
    translators.get_by_role("heading", name="Layer 2, mean of the heads").wait_for()
    mean = given().weights[1].astype(np.float64).mean(0)[2]
    found = translators.evaluate("attentionView.weights().weights")
    np.testing.assert_allclose(found, mean, rtol=1e-12)
    shown = [float(row[2]) for row in shown_table(translators)]
    np.testing.assert_allclose(shown, np.sort(mean)[::-1], rtol=1e-6)


def test_pickers_change_layer_head_and_kind(translators):
    show(translators)
    translators.get_by_label("Layer", exact=True).locator("select").select_option("2 of 2")
    translators.get_by_role("button", name="Next head").click(click_count=3)
    assert {"layer": 1, "head": 3}.items() <= state(translators).items()
    translators.get_by_role("heading", name="Layer 2, head 4").wait_for()
    translators.get_by_role("gridcell", name="layer 1, head 2").click()
    assert {"layer": 0, "head": 1}.items() <= state(translators).items()
    selected = translators.locator("#grid [aria-selected=true]")
    assert selected.get_attribute("aria-label") == "layer 1, head 2"
    translators.get_by_role("radio", name="encoder").check()
    assert translators.locator("#one-queries [role=option]").all_inner_texts()[0] == "The"
    weights = given(kind="encoder").weights[0][1, 0]
    assert np.float32(shown_table(translators)[0][2]) == weights.max()


def test_pointing_shows_exact_numbers(translators):
    show(translators, layer=1, head=2, query=3)
    weights = given().weights[1][2]
    tip = translators.locator("#tip")
    lines = translators.locator(".lines svg").first
    translators.locator("#one-sources [role=option]", has_text="blue").hover()
    assert np.float32(tip.inner_text().split()[-1]) == weights[3, 3]
    assert lines.locator(".incoming").count() == sum(np.delete(weights[:, 3], 3) >= 0.02)
    assert lines.locator(".outgoing").count() == sum(weights[3] >= 0.001)
    translators.locator("#one-queries .token", has_text="Der").hover()
    assert np.float32(tip.inner_text().split()[-1]) == weights[1].max()
    assert state(translators)["query"] == 3
    translators.locator("#one-queries .token", has_text="Der").click()
    assert state(translators)["query"] == 1
    place = translators.evaluate(
        """() => { const box = document.getElementById("heat-map").getBoundingClientRect();
          return [box.width, box.height]; }"""
    )
    # The last cell: the fifth query, the fifth source.
    translators.locator("#heat-map").hover(position={"x": place[0] - 8, "y": place[1] - 8})
    assert re.match(r"blau → <eos> ", tip.inner_text())
    assert np.float32(tip.inner_text().split()[-1]) == weights[4, 4]
    # A line, in the middle of its way.
    show(translators, layer=1, head=2, query=3)
    query, source = divmod(int(weights.argmax()), 5)
    show(translators, layer=1, head=2, query=query)
    lines.scroll_into_view_if_needed()
    box = lines.bounding_box()
    middle = 26 * (query + source + 1) / 2
    translators.mouse.move(box["x"] + box["width"] / 2, box["y"] + middle)
    crossing = [weights[t, query + source - t] for t in range(5) if 0 <= query + source - t < 5]
    assert np.float32(tip.inner_text().split()[-1]) in crossing
    translators.mouse.move(5, 5)
    tip.wait_for(state="hidden")


def test_colours_of_the_map_follow_the_weights(translators):
    show(translators, layer=1, head=1)
    weights = given().weights[1][1]
    place = "#grid button[aria-selected=true] canvas"
    pixels = """async (canvas) => {
      for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
      const copy = new OffscreenCanvas(5, 5).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas.isConnected ? canvas : document.querySelector("PLACE"), 0, 0);
      return [...copy.getImageData(0, 0, 5, 5).data];
    }""".replace("PLACE", place)
    order = np.argsort(weights, axis=None)
    for theme, way in (("dark", 1), ("light", -1)):
        translators.emulate_media(color_scheme=theme)
        found = translators.eval_on_selector(place, pixels)
        brightness = np.reshape(found, (25, 4))[:, :3].sum(-1)[order]
        assert np.all(way * np.diff(brightness) >= 0)
        assert np.ptp(brightness) > 150


def test_the_keyboard_goes_everywhere(translators):
    show(translators)
    keyboard = translators.keyboard
    translators.locator("#one-queries").focus()
    for keys, expected in (
        ("ArrowDown ArrowDown ArrowUp", {"query": 1}),
        ("End", {"query": 4}),
        ("PageUp", {"query": 0}),
        ("ArrowRight ArrowRight", {"head": 2}),
        ("ArrowLeft", {"head": 1}),
        ("Shift+ArrowDown", {"layer": 1}),
        ("Shift+ArrowUp", {"layer": 0}),
        ("Tab ArrowDown", {"source": 0, "query": 0}),
        ("ArrowDown", {"source": 1}),
    ):
        for key in keys.split():
            keyboard.press(key)
        assert expected.items() <= state(translators).items(), keys
    active = translators.locator("#one-sources").get_attribute("aria-activedescendant")
    assert translators.locator(f"#{active}").inner_text().startswith("ball")
    translators.locator("#grid [tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight"):
        keyboard.press(key)
    assert {"layer": 1, "head": 2}.items() <= state(translators).items()
    focused = translators.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "layer 2, head 3"
    width = "getComputedStyle(document.activeElement).outlineWidth"
    assert translators.evaluate(width) == "2px"
    keyboard.press("?")
    translators.get_by_role("dialog", name="How to read this page").wait_for()
    keyboard.press("Escape")
    translators.get_by_role("dialog").wait_for(state="hidden")
    # A list takes no keys that mean something to the browser.
    keyboard.press("Control+ArrowRight")
    assert state(translators)["head"] == 2


def test_the_scrubber_follows_what_was_written_and_its_ancestry(translators):
    show(translators, kind="encoder", query=2)
    scrubber = translators.get_by_role("slider", name="Token")
    scrubber.fill("1")
    assert {"kind": "cross", "query": 1}.items() <= state(translators).items()
    assert scrubber.get_attribute("aria-valuetext") == "token 2 of 5: Ball"
    assert shown_table(translators, "candidates") == [
        ["1", "Der Ball", "−0.9000", "shown"],
        ["2", "Die Kugel", "−1.0000", "ends here"],
    ]
    scrubber.fill("3")
    assert shown_table(translators, "candidates")[1] == ["2", "Der Ball war rot", "−∞", ""]
    chosen = translators.locator("#beams .node.chosen").all_inner_texts()
    assert chosen == WRITTEN
    assert translators.locator("#beams .node.ended").all_inner_texts() == ["Kugel"]
    translators.locator("#beams .node", has_text="ist").click()
    assert state(translators)["query"] == 2
    # The encoder has tokens of its own; coming back, the step is the same.
    translators.get_by_role("radio", name="encoder").check()
    translators.locator("#one-queries .token", has_text="<eos>").click()
    translators.get_by_role("radio", name="decoder").check()
    assert state(translators)["query"] == 2


def test_two_models_side_by_side_with_their_difference(translators):
    show(translators, layer=1, head=1, query=3)
    translators.get_by_label("Beside it").select_option("two heads · step 0")
    headings = translators.get_by_role("heading", name="Layer 2, head 2").all_inner_texts()
    assert headings == [
        "four heads · step 0: Layer 2, head 2",
        "two heads · step 0: Layer 2, head 2",
    ]
    first, second = (given(place).weights[1][1, 3] for place in (0, 3))
    for token, _, left, right, difference in shown_table(translators):
        at = SOURCE.index(token)
        assert (np.float32(left), np.float32(right)) == (first[at], second[at])
        assert float(difference.replace("−", "-")) == pytest.approx(
            float(second[at]) - float(first[at]), rel=1e-6
        )
    most = np.abs(given(3).weights[1][1] - given(0).weights[1][1]).max()
    assert translators.locator("#scale-high").inner_text() == f"+{most:#.2g}"
    translators.get_by_role("heading", name="Difference").wait_for()
    # What has fewer heads stays within them; what is chosen for itself stays.
    show(translators, layer=1, head=3, query=3, other=3)
    translators.get_by_role("heading", name="two heads · step 0: Layer 2, head 2").wait_for()
    translators.get_by_label("its layer").select_option("1 of 2")
    translators.get_by_role("heading", name="two heads · step 0: Layer 1, head 2").wait_for()
    # Both go along with the moment.
    translators.get_by_role("slider", name="Moment").fill("2")
    assert {"reading": 2, "other": 5}.items() <= state(translators).items()
    translators.get_by_label("Beside it").select_option("nothing")
    assert translators.get_by_role("heading", name="two heads").count() == 0


def test_sentences_that_differ_in_a_word_are_compared_place_by_place(opened):
    weights = [rows(1, 1, 3, 3, seed=seed) for seed in (0, 1, 2)]
    sentences = (["too", "tired", "."], ["too", "wide", "."], ["so", "wide"])
    readings = [
        Reading((Attention("encoder", found[..., : len(some), : len(some)], some, some),), str(at))
        for at, (found, some) in enumerate(zip(weights, sentences, strict=True))
    ]
    with opened(head_view(readings, query=2, beside=1)) as page:
        found = {row[0]: row for row in shown_table(page)}
        assert set(found) == {"too", "tired / wide", "."}
        assert np.float32(found["tired / wide"][3]) == weights[1][0, 0, 2, 1]
        note = page.locator("#heat-note")
        assert (
            note.inner_text()
            == "Right minus left: 1 minus 0. Place by place, though 1 token differs."
        )
        page.get_by_label("Beside it").select_option("2")
        assert "different numbers of tokens" in note.inner_text()
        assert page.get_by_role("heading", name="Difference").count() == 0


def test_the_slider_over_moments(translators):
    show(translators, layer=0, head=1, query=2)
    slider = translators.get_by_role("slider", name="Moment")
    for place in (2, 1, 0):
        slider.fill(str(place))
        assert slider.get_attribute("aria-valuetext") == MOMENTS[place]
        assert np.float32(shown_table(translators)[0][2]) == given(place).weights[0][1, 2].max()
    translators.get_by_label("Model").select_option("two heads")
    assert state(translators)["reading"] == 3
    assert translators.locator("#grid [role=row] >> nth=0").locator("button").count() == 3


def test_a_head_from_inside(translators):
    show(translators, layer=1, head=3, query=2, source=4)
    one = given()
    weights = one.weights[1][3, 2]
    query, key = one.query_vectors[1][3, 2], one.key_vectors[1][1]
    order = np.argsort(-weights, kind="stable")
    lines = shown_table(translators, "vectors-table")[1:]
    assert [line[0] for line in lines] == [SOURCE[source] for source in order]
    found = np.array([[float(cell.replace("−", "-")) for cell in line[3:]] for line in lines])
    expected = np.stack([key @ query, key @ query / np.sqrt(6), weights])[:, order].T
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    note = translators.locator("#vectors-note").inner_text()
    assert "Their softmax gives the weights" in note
    translators.get_by_text("All features of").click()
    translators.locator("#features-table tbody tr").nth(5).wait_for()
    features = {int(line[0]) - 1: line[1:] for line in shown_table(translators, "features-table")}
    for place in range(6):
        q, k, product = (float(cell.replace("−", "-")) for cell in features[place])
        assert (np.float32(q), np.float32(k)) == (query[place], key[4, place])
        assert product == pytest.approx(float(q) * float(k), rel=1e-4)


def test_those_who_listen_hear_the_same(translators):
    show(translators, layer=1, head=2, query=3)
    weights = given().weights[1][2, 3]
    order = np.argsort(-weights, kind="stable")[:3]
    told = ", ".join(f"{SOURCE[at]} {weights[at]:.3f}" for at in order)
    said = f"layer 2, head 3: ist looks at {told}."
    translators.locator("#live", has_text=said).wait_for(state="attached")
    tree = translators.locator("body").aria_snapshot()
    for line in (
        'heading "A translator" [level=1]', 'listbox "Tokens that look"',
        'option "ist writes \u2068blau\u2069" [selected]',
        'listbox "Tokens that are looked at"', 'grid "All heads, a row for each layer"',
        'gridcell "layer 2, head 3" [selected]', 'combobox "Layer"', 'combobox "Head"',
        'slider "Moment"', 'slider "Token"', 'group "Attention"', 'radio "cross" [checked]',
        'button "Next layer"', 'button "Help: keys, and how to read this page"',
        'table "Weights of', 'img "Heat map of layer 2, head 3',
    ):  # fmt: skip
        assert line in tree, line
    nameless = r"^\s*- (button|combobox|slider|listbox|gridcell|radio|img|table|grid)( \[|:|$)"
    assert not re.findall(nameless, tree, re.MULTILINE)


def test_hostile_names_and_tokens_are_shown_as_text(opened):
    tokens = list(HOSTILE.values())
    count = len(tokens)
    told = HOSTILE["script"]
    steps = (tuple(Candidate(token, -1.0, -1) for token in tokens),)
    readings = [
        Reading(
            (
                Attention(told, rows(1, 2, count, count), tokens, tokens, tokens),
                Attention("constructor", rows(1, 1, count, count), tokens, tokens, tokens),
            ),
            name, moment, told, told, told, steps, (0,),
        )
        for name in (told, "__proto__")
        for moment in (HOSTILE["quotes"], HOSTILE["entities"])
    ]  # fmt: skip
    with opened(head_view(readings, title=told)) as page:
        assert page.title() == told
        for query, token in enumerate(tokens):
            page.evaluate("what => attentionView.show(what)", {"query": query, "other": 3})
            option = page.locator(f"#one-queries-{query} .token")
            if token.isprintable():
                assert option.text_content() == token
            page.locator(f"#one-sources-{query}").hover()
        assert {told, "__proto__"} == set(page.locator("#model option").all_text_contents())
        page.get_by_label("Model").select_option("__proto__")
        page.get_by_role("radio", name="constructor").check()
        tags = "() => [...new Set([...document.body.querySelectorAll('*')].map(e => e.localName))]"
        assert not {"img", "iframe", "a", "b"} & set(page.evaluate(tags))
        handlers = "() => [...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
        assert not [name for name in page.evaluate(handlers) if name.startswith("on")]


SCRIPTS = {
    "ltr": ["The", "ball", " is", "\n", ""],
    "rtl": ["الكرة", "زرقاء", "כדור", "كبيرة", "جدا"],
    "chinese": ["蓝", "色的", "球", "很", "大的大的大的大的大的大的大的大的大的大的大的大的"],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_has_its_direction_and_its_room(opened, script):
    tokens = SCRIPTS[script]
    view = head_view(rows(1, 2, 5, 5), tokens)
    with opened(view, viewport={"width": 390, "height": 800}, color_scheme="dark") as page:
        options = page.locator("#one-queries [role=option]")
        shown = options.locator(".token").all_text_contents()
        assert shown == (["The", "ball", "␣is", "⏎", "∅"] if script == "ltr" else tokens)
        direction = "elements => elements.map(e => getComputedStyle(e).direction)"
        found = options.locator(".token").evaluate_all(direction)
        assert set(found) == {"rtl" if script == "rtl" else "ltr"}
        boxes = [option.bounding_box() for option in options.all()]
        for above, below in zip(boxes, boxes[1:], strict=False):
            assert above["y"] + above["height"] <= below["y"] + 0.01
        # No part is wider than a phone.
        width = "document.documentElement.scrollWidth"
        assert page.evaluate(width) == 390


def test_long_inputs_say_how_much_they_show(opened):
    weights = np.tril(rows(2, 2, 150, 150))
    view = head_view(weights, words(150), layer=1, head=1, query=140, megabytes=0.1)
    with opened(view) as page:
        keep = int(re.search(r"the (\d+) strongest", page.locator("#facts").inner_text())[1])
        strongest = -np.sort(-weights, -1)[..., :keep]
        attention = Attention("attention", weights, words(150), words(150))
        found = np.stack(read_back(page, attention, "attention"))
        np.testing.assert_array_equal(-np.sort(-found, -1)[..., :keep], strongest)
        np.testing.assert_array_equal(found[found > 0], weights[found > 0])

        def share(kept, whole):
            return f"{100 * kept.sum(dtype=np.float64) / whole.sum(dtype=np.float64):.1f}\u00a0%"

        assert share(strongest, weights) in page.locator("#facts").text_content()
        assert share(strongest[1, 1], weights[1, 1]) in page.locator(".pane").first.text_content()
        row = page.locator("#row-note").text_content()
        assert share(strongest[1, 1, 140], weights[1, 1, 140]) in row
        # Only what can be seen of the lists is there, with the place in the whole.
        options = page.locator("#one-queries [role=option]")
        assert options.count() < 60
        active = page.locator("#one-queries-140")
        assert (active.get_attribute("aria-posinset"), active.get_attribute("aria-setsize")) == (
            "141",
            "150",
        )
        assert page.locator("#one-queries").evaluate("box => box.scrollTop") > 0
        # What was left out is never called zero.
        left_out = int(np.argmin(np.where(found[1, 1, 140] == 0, weights[1, 1, 140], 2)))
        page.evaluate("source => attentionView.show({source})", left_out)
        page.locator(f"#one-sources-{left_out}").hover()
        assert page.locator("#tip").inner_text().endswith("not kept")
        page.locator("#heat-map").hover(position={"x": 60, "y": 60})
        assert re.match(
            r"tokens \d+–\d+ → \d+–\d+ about [\d.e-]+$", page.locator("#tip").inner_text()
        )


def test_views_in_a_notebook_leave_each_other_alone(opened):
    views = [head_view(rows(2, 2, 3, 3, seed=seed), words(3)) for seed in (0, 1)]

    class Notebook:
        def save(self, path):
            frames = "".join(view._repr_html_() for view in views)
            path.write_text(f"<!DOCTYPE html><body>{frames}", "utf-8")
            return path

    with opened(Notebook()) as page:
        frames = [handle.content_frame() for handle in page.query_selector_all("iframe")]
        for frame in frames:
            frame.wait_for_function("() => window.attentionView")
        assert page.evaluate("document.activeElement.localName") == "body"
        frames[0].get_by_role("button", name="Next layer").click()
        states = [frame.evaluate("attentionView.state().layer") for frame in frames]
        assert states == [1, 0]
        for seed, frame in enumerate(frames):
            found = frame.evaluate("attentionView.weights({layer: 1, head: 1, query: 2}).weights")
            assert found == rows(2, 2, 3, 3, seed=seed)[1, 1, 2].tolist()
        assert page.evaluate("'attentionView' in window") is False


@pytest.mark.slow
def test_two_thousand_tokens_are_there_in_two_seconds(opened):
    one = rows(8, 2000, 2000)
    view = head_view([one] * 4, words(2000))
    assert len(view.html) < 10e6
    with opened(view) as page:
        painted = "performance.getEntriesByType('paint').map(entry => entry.startTime)"
        page.wait_for_function("performance.getEntriesByType('paint').length > 0")
        assert max(page.evaluate(painted)) < 2000
        taken = page.evaluate(
            """() => { const start = performance.now();
              attentionView.show({layer: 3, head: 7, query: 1999});
              document.body.offsetHeight; return performance.now() - start; }"""
        )
        assert taken < 500
        found = page.evaluate("attentionView.weights()")
        np.testing.assert_array_equal(np.float32(found["weights"]), one[7, 1999, found["sources"]])
