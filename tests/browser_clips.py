"""Events for tests of pages that play them."""

from __future__ import annotations

import numpy as np

from evfer.events import EVENT_DTYPE, SensorSize

SENSOR = SensorSize(60, 44)
DURATION_US = 600_000
HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(2)>&"\u2028'


def blob_events(n=6000, seed=3):
    """A cloud that runs to the right, with ties in time and events at the corners."""
    rng = np.random.default_rng(seed)
    events = np.zeros(n, EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(5_000, DURATION_US - 7_000, n)) // 50 * 50
    middle = 12 + 36 * events["t"] / DURATION_US
    events["x"] = np.clip(np.rint(rng.normal(middle, 5)), 0, SENSOR.width - 1)
    events["y"] = np.clip(np.rint(rng.normal(22, 8, n)), 0, SENSOR.height - 1)
    events["p"] = rng.random(n) < 0.5 + 0.4 * np.sign(events["x"] - middle)
    return events
