"""Tiny sets of events, in memory and on disk."""

import numpy as np

from evfer import recordings
from evfer.events import EVENT_DTYPE, SensorSize

SENSOR = SensorSize(30, 20)


def make_events(n, seed, duration_us=50_000):
    """Make events anywhere on the sensor, at any time."""
    rng = np.random.default_rng(seed)
    events = np.empty(n, EVENT_DTYPE)
    events["x"] = rng.integers(0, SENSOR.width, n)
    events["y"] = rng.integers(0, SENSOR.height, n)
    events["p"] = rng.random(n) < 0.5
    events["t"] = np.sort(rng.integers(0, duration_us, n))
    return events


def write_set(data, clips):
    """Write a converted set whose labels are 5, 2 and 9, so that indices differ from codes."""
    root = recordings.set_folder(data, "TinyDVS")
    entries = []
    for i, events in enumerate(clips):
        subject, code = f"S{i // 2:03d}", (5, 2, 9)[i % 3]
        path = f"{subject}/{i:03d}.h5"
        digest = recordings.write(root / path, events, SENSOR, {}, duration_us=50_000)
        entries.append(
            recordings.IndexEntry(
                f"{subject}/{i:03d}", path, subject, i, code, f"label{code}", len(events), 50_000,
                (root / path).stat().st_size, "", digest, "", 25.0, 9,
            )
        )  # fmt: skip
    recordings.write_index(root, entries)
    return root
