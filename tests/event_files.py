"""Small event files of many formats, for the tests of their readers."""

from __future__ import annotations

import io
import zipfile

import h5py
import numpy as np

from evfer.events import EVENT_DTYPE, SensorSize
from evfer.formats import ReadParams

SIZE = SensorSize(346, 260)
SAID = ReadParams(sensor="346x260", start="file")
FIVE = [(3, 0, 0, 1), (64, 10, 20, 1), (64, 345, 259, 0), (5000, 11, 20, 1), (70_000, 7, 8, 0)]


def events_of(rows):
    events = np.zeros(len(rows), EVENT_DTYPE)
    for k, (t, x, y, p) in enumerate(rows):
        events[k] = (x, y, p, t)
    return events


def plain(events):
    return [(int(e["t"]), int(e["x"]), int(e["y"]), int(e["p"])) for e in events]


def put(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def dsec(path, rows=FIVE, **options):
    t, x, y, p = np.array(rows).T
    with h5py.File(path, "w") as file:
        for name, values, kind in (("t", t, "<u4"), ("x", x, "<u2"), ("y", y, "<u2"),
                                   ("p", p, "u1")):  # fmt: skip
            file.create_dataset(f"events/{name}", data=values.astype(kind), **options)
        file["ms_to_idx"] = np.searchsorted(t, np.arange(71) * 1000).astype("<u8")
        file["t_offset"] = np.int64(51_648_500_652)
    return path
