"""Events as pictures: nothing lost, right colours, plain texts."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from evfer.errors import EventsError
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.pictures import (
    DARK,
    LIGHT,
    accumulate,
    event_picture,
    event_rates,
    show_frame,
    time_windows,
)
from evfer.pictures.drawing import fixed_style, png_bytes, svg_text
from evfer.pictures.text import shorten

SENSOR = SensorSize(30, 20)


def make_events(rows):
    """Events from (x, y, p, t) rows, sorted by time."""
    events = np.array([tuple(row) for row in rows], EVENT_DTYPE)
    return events[np.argsort(events["t"], kind="stable")]


events_strategy = st.lists(
    st.tuples(st.integers(0, 29), st.integers(0, 19), st.booleans(), st.integers(0, 999_999)),
    max_size=60,
).map(make_events)


@given(events_strategy, st.integers(1, 9))
def test_windows_hold_every_event_once(events, n_windows):
    windows = time_windows(1_000_000, n_windows)
    total = sum(accumulate(events, SENSOR, *window) for window in windows)
    assert total.shape == (2, 20, 30)
    expected = np.zeros((2, 20, 30), int)
    for event in events:
        expected[int(event["p"]), event["y"], event["x"]] += 1
    np.testing.assert_array_equal(total, expected)


@given(events_strategy, st.integers(1, 50))
def test_rates_add_up_to_the_number_of_events(events, n_bins):
    rates = event_rates(events, 1_000_000, n_bins)
    assert rates.shape == (2, n_bins)
    counts = rates.sum(axis=1) / n_bins
    np.testing.assert_allclose(counts, [np.sum(~events["p"]), np.sum(events["p"])])


def test_a_large_sensor_does_not_wrap():
    events = make_events([(1279, 719, 1, 5)])
    counts = accumulate(events, SensorSize(1280, 720), 0, 10)
    assert counts[1, 719, 1279] == 1
    assert counts.sum() == 1


@pytest.mark.parametrize("colours", [DARK, LIGHT])
def test_colours_stand_where_the_events_are(colours):
    counts = np.zeros((2, 4, 4), np.int64)
    counts[1, 0, 0], counts[0, 1, 1] = 50, 50
    counts[:, 2, 2] = 50
    counts[1, 3, 3] = 1
    picture = event_picture(counts, colours)
    assert picture.dtype == np.uint8
    assert tuple(picture[0, 0]) == colours.on
    assert tuple(picture[1, 1]) == colours.off
    assert tuple(picture[0, 1]) == colours.ground
    np.testing.assert_allclose(picture[2, 2], np.mean([colours.on, colours.off], 0), atol=1)
    # one event is nearer to the full colour than to the ground
    one = picture[3, 3].astype(int)
    assert np.abs(one - colours.on).sum() < np.abs(one - colours.ground).sum()


def test_frames_hold_until_the_next_begins():
    frames = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    times = np.array([0.0, 0.1, 0.2])
    shown = [int(show_frame(frames, times, t)[0, 0]) for t in (-1, 0, 0.05, 0.1, 0.15, 9)]
    assert shown == [0, 0, 0, 1, 1, 2]
    with pytest.raises(EventsError, match="times"):
        show_frame(frames, times[:2], 0)


def test_shorten_drops_what_no_file_can_hold():
    assert shorten("a\x00b\ud800c\x1b", 9) == "a\ufffdb\ufffdc\ufffd"
    assert shorten("häppi 喜", 9) == "häppi 喜"
    assert len(shorten("x" * 50, 10)) == 10
    # marks that would turn the text around them: "abc" read from the right
    assert shorten("\u202eabc\u202c \u2067d\u2069", 20) == "\ufffdabc\ufffd \ufffdd\ufffd"


def test_figures_repeat_byte_for_byte_and_keep_text_plain():
    def draw():
        with fixed_style():
            figure = Figure(figsize=(2, 1))
            axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
            axes.plot([1, 2])
            # formulas whole and broken, markup, and a script that the font lacks
            axes.set_title(r"$a^2$ \frac{</text><script> 喜")
            return svg_text(figure), png_bytes(figure, 50)

    svg, png = draw()
    assert (svg, png) == draw()
    svg = re.sub("<!--.*?-->", "", svg, flags=re.DOTALL)  # a formula's source stands in a comment
    assert r"$a^2$ \frac{&lt;/text&gt;&lt;script&gt; 喜" in svg
    assert "<script" not in svg
    assert png.startswith(b"\x89PNG")
