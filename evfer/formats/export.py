"""Recordings in the formats of other tools, one file or a whole set."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from evfer import recordings
from evfer.errors import RecordingError, SourceError, UnknownNameError
from evfer.events import SensorSize
from evfer.files import whole_file, write_text
from evfer.formats.assemble import EventSource, ReadParams
from evfer.formats.prophesee import encode_evt2
from evfer.formats.reading import read
from evfer.formats.through_faery import load_faery, write_through_faery

__all__ = ["EXPORTS", "Exported", "export", "write"]

_CHUNK_ROWS = 16384


@dataclass(frozen=True)
class Exported:
    """What an export made.

    Args:
        folder: where the files lie.
        files: the files, relative to the folder, in the order of the clips.
        n_events: events in all of them.
        table: for a set, the `clips.csv` beside them that names label and subject, or None.
    """

    folder: Path
    files: tuple[str, ...]
    n_events: int
    table: Path | None = None


def write(path: Path, source: EventSource, to: str) -> None:
    """Write events as a file of another format, whole or not at all.

    Times, coordinates and polarities stay as they are. Formats that cannot name the sensor's
    size (npy, csv) leave it out; the reader must then be told.

    Args:
        path: the file.
        source: the events.
        to: the format, one of `EXPORTS`.

    Raises:
        UnknownNameError: if there is no such format.
        MissingExtra: if it needs a package that is not installed.
        RecordingError: if the events do not fit the format.
        OutputError: if the file cannot be written.
    """
    _require(to)
    with whole_file(path) as part:
        _WRITERS[to](part, source)


def export(
    path: Path,
    to: str,
    out: Path,
    on_progress: Callable[[int, int], None] | None = None,
    sensor_size: SensorSize | None = None,
) -> Exported:
    """Write a recording, or every recording of a set, in another format.

    A set becomes `<out>/<Set>/<subject>/<sequence>` with the format's ending and a `clips.csv`,
    from which the data set `folder` reads it again.

    Args:
        path: a file of events, or a converted set's folder.
        to: the format, one of `EXPORTS`.
        out: the folder to write to.
        on_progress: called with (done, total) after each file.
        sensor_size: for a file that does not name it.

    Raises:
        UnknownNameError: if there is no such format.
        MissingExtra: if it needs a package that is not installed.
        SourceError: if `path` is neither of the two.
        RecordingError: if a recording is damaged.
        OutputError: if a file cannot be written, or is the one that is read.
    """
    _require(to)
    path, out = Path(path), Path(out)
    if path.is_dir():
        return _export_set(path, to, out, on_progress)
    if not path.is_file():
        raise SourceError(
            f"{path}: no such file or folder",
            expected="a recording, or a set's folder <data>/FerDVS/<Set>",
        )
    name = f"{path.stem}{EXPORTS[to]}"
    sensor = "" if sensor_size is None else f"{sensor_size.width}x{sensor_size.height}"
    source = read(path, ReadParams(sensor=sensor, start="file"))
    _write_apart(path, out / name, source, to)
    if on_progress:
        on_progress(1, 1)
    return Exported(out, (name,), len(source.events))


def _export_set(
    folder: Path, to: str, out: Path, on_progress: Callable[[int, int], None] | None
) -> Exported:
    entries = recordings.read_index(folder)
    target = out / folder.resolve().name
    files, n_events, table = [], 0, io.StringIO(newline="")
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("path", "label", "subject"))
    for number, entry in enumerate(entries, 1):
        origin = folder / entry.path
        source = read(origin, ReadParams(start="file"))
        name = Path(entry.path).with_suffix(EXPORTS[to]).as_posix()
        _write_apart(origin, target / name, source, to)
        files.append(name)
        n_events += len(source.events)
        rows.writerow((name, entry.label_name, entry.subject))
        if on_progress:
            on_progress(number, len(entries))
    write_text(target / "clips.csv", table.getvalue())
    return Exported(target, tuple(files), n_events, target / "clips.csv")


def _write_apart(origin: Path, target: Path, source: EventSource, to: str) -> None:
    if target.exists() and target.samefile(origin):
        raise RecordingError(
            f"{target}: that is the file that is read",
            expected="another folder",
            hint="Choose one with --out",
        )
    write(target, source, to)


def _require(to: str) -> None:
    if to not in EXPORTS:
        raise UnknownNameError("format", to, EXPORTS)
    if to in ("es", "aedat4"):
        load_faery(f"writing {EXPORTS[to]} files")


def _write_npy(path: Path, source: EventSource) -> None:
    # a file of its own, since np.save would add an ending to a name without one
    with path.open("wb") as file:
        np.save(file, source.events, allow_pickle=False)


def _write_npz(path: Path, source: EventSource) -> None:
    columns: dict[str, Any] = {name: source.events[name] for name in ("t", "x", "y", "p")}
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            width=np.int64(source.sensor_size.width),
            height=np.int64(source.sensor_size.height),
            duration_us=np.int64(source.duration_us),
            **columns,
        )


def _write_csv(path: Path, source: EventSource) -> None:
    events = source.events
    table = np.stack([events[name].astype(np.int64) for name in ("t", "x", "y", "p")], axis=1)
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write("t,x,y,p\n")
        np.savetxt(file, table, fmt="%d", delimiter=",", newline="\n")


def _write_dsec(path: Path, source: EventSource) -> None:
    events, size = source.events, source.sensor_size
    times = events["t"]
    # one more than the milliseconds begun, so that a last window finds its end
    n_ms = int(max(source.duration_us, times[-1] + 1 if len(times) else 0)) // 1000 + 2
    index_of_ms = np.searchsorted(times, np.arange(n_ms, dtype=np.int64) * 1000)
    columns = {"t": "<u4", "x": "<u2", "y": "<u2", "p": "u1"}
    with h5py.File(path, "w", track_order=False, locking=False) as file:
        for name, kind in columns.items():
            file.create_dataset(
                f"events/{name}",
                data=events[name].astype(kind),
                chunks=(max(1, min(_CHUNK_ROWS, len(events))),),
                maxshape=(None,),  # an empty column could not be chunked otherwise
                shuffle=True,
                compression="gzip",  # any HDF5 reads it, unlike DSEC's own Blosc
                compression_opts=1,
            )
        file.create_dataset("ms_to_idx", data=index_of_ms.astype("<u8"))
        file.create_dataset("t_offset", data=np.int64(0))
        for holder in (file, file["events"]):
            holder.attrs["sensor_width"], holder.attrs["sensor_height"] = size.width, size.height
        file.attrs["duration_us"] = source.duration_us


def _write_evt2(path: Path, source: EventSource) -> None:
    path.write_bytes(encode_evt2(source.events, source.sensor_size))


def _write_es(path: Path, source: EventSource) -> None:
    write_through_faery(path, "es", source.events, source.sensor_size)


def _write_aedat4(path: Path, source: EventSource) -> None:
    write_through_faery(path, "aedat", source.events, source.sensor_size)


EXPORTS = {
    "dsec": ".h5", "npy": ".npy", "npz": ".npz", "csv": ".csv",
    "evt2": ".raw", "es": ".es", "aedat4": ".aedat4",
}  # fmt: skip
"""Formats that can be written, and the endings of their files."""

_WRITERS: dict[str, Callable[[Path, EventSource], None]] = {
    "dsec": _write_dsec,
    "npy": _write_npy,
    "npz": _write_npz,
    "csv": _write_csv,
    "evt2": _write_evt2,
    "es": _write_es,
    "aedat4": _write_aedat4,
}
