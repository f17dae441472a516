"""The page of a head view in a real browser: the numbers, the pickers, the keys."""

import re

import numpy as np
import pytest

from tests.views.pages import (
    READINGS,
    SOURCE,
    given,
    read_back,
    show,
    shown_table,
    state,
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
    # The last row, a cell before its end: the fifth query, the fourth source.
    translators.locator("#heat-map").hover(position={"x": place[0] - 48, "y": place[1] - 8})
    assert re.match(r"blau → blue ", tip.inner_text())
    assert np.float32(tip.inner_text().split()[-1]) == weights[4, 3]
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
