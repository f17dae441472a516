"""The page of a head view in a real browser: any tokens, any length, any reader."""

import re

import numpy as np
import pytest

from attention_jax.views.head_view import head_view
from attention_jax.views.readings import Attention, Candidate, Reading
from tests.views.pages import (
    SOURCE,
    given,
    read_back,
    show,
)
from tests.views.test_escaping import HOSTILE
from tests.views.test_head_view import rows, words


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
