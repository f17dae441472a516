"""The page of a head view in a real browser: beams, two models, several moments."""

import numpy as np
import pytest

from attention_jax.views.head_view import head_view
from attention_jax.views.readings import Attention, Reading
from tests.views.pages import (
    MOMENTS,
    SOURCE,
    WRITTEN,
    given,
    show,
    shown_table,
    state,
)
from tests.views.test_head_view import rows


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
