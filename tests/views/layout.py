"""Where things of a figure lie once it is drawn."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def overlapping(labels, renderer):
    boxes = [label.get_window_extent(renderer) for label in labels if label.get_text()]
    return [
        (first, second)
        for place, first in enumerate(boxes)
        for second in boxes[place + 1 :]
        if first.overlaps(second)
    ]


def words(figure):
    """All words that the drawn figure shows, in no order."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not axis.get_visible() or not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
    texts = (text for text in figure.findobj(Text) if text not in hidden)
    return [text for text in texts if text.get_visible() and text.get_text()]


def well_placed(figure):
    """The words of a figure, after checking that none overlap and none leave the page."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    found = words(figure)
    assert overlapping(found, renderer) == []
    page = figure.bbox
    for text in found:
        box = text.get_window_extent(renderer)
        assert box.x0 >= page.x0 and box.y0 >= page.y0, text
        assert box.x1 <= page.x1 and box.y1 <= page.y1, text
    return [text.get_text() for text in found]
