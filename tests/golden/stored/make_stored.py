"""Make the set and the rows of this folder anew; made by 0.1.0 of 22 November 2026.

python make_stored.py DATA, then evfer bench as `test_stored.py` lists the commands
"""

import sys
from pathlib import Path

import numpy as np

from evfer import recordings
from evfer.events import EVENT_DTYPE, SensorSize
from evfer.files import sha256_file

SENSOR = SensorSize(32, 24)
LABELS = {1: "anger", 3: "happiness"}


def make_events(seed, label):
    """Make events that lie left for one label and right for the other."""
    rng = np.random.default_rng(seed)
    events = np.empty(200 + 10 * seed, EVENT_DTYPE)
    events["x"] = rng.integers(0, 16, len(events)) + (16 if label == 3 else 0)
    events["y"] = rng.integers(0, SENSOR.height, len(events))
    events["p"] = rng.random(len(events)) < 0.5
    events["t"] = np.sort(rng.integers(0, 90_000, len(events)))
    return events


def main(data):
    root = recordings.set_folder(data, "StoredDVS")
    entries = []
    for person in range(6):
        for take, (code, label) in enumerate(LABELS.items()):
            events = make_events(2 * person + take, code)
            path = f"S{person:03d}/{take:03d}.h5"
            digest = recordings.write(root / path, events, SENSOR, {}, duration_us=90_000)
            size, file_digest = (root / path).stat().st_size, sha256_file(root / path)
            entries.append(
                recordings.IndexEntry(
                    path.removesuffix(".h5"), path, f"S{person:03d}", take, code, label,
                    len(events), 90_000, size, file_digest, digest, "", 25.0, 9,
                )
            )  # fmt: skip
    recordings.write_index(root, entries)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
