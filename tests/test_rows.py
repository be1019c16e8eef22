"""Result rows on disk: one type, a strict writer, a patient reader that never writes."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from report_rows import make_rows, write_run

from evfer import info
from evfer.bench import row_key
from evfer.bench.rows import KEY_FIELDS, ResultRow, RowWriter, read_rows
from evfer.cli import main
from evfer.errors import DataError, RecordingError


def make_row(**changes):
    """A row as the bench writes it, with every field that names it."""
    (row,) = make_rows(folds=1, labels_sha256="12" * 32, model_sha256="", **changes)
    return row


def rows_file(tmp_path, *rows, text=""):
    return write_run(tmp_path / "run", rows, text) / "rows.jsonl"


def test_a_row_is_its_line_and_what_evfer_knows_of_it(tmp_path):
    stored = make_row(later={"nested": [1, None]})
    (row,) = read_rows(rows_file(tmp_path, stored)).rows
    assert row == stored
    assert dict(row)["later"] == {"nested": [1, None]}
    assert (row.model, row.fold, row.set_name) == ("spiking-fer", 0, "DemoDVS")
    assert row.accuracy == stored["accuracy"] == row.score("accuracy")
    assert row.problems == ()
    # as stored by the first version of evfer
    assert row.key == row_key(stored)
    assert row.key == "73e65a8574fdf48fa1beee1322a9d50ebdef2f59a636f0b64e9cd171b10d4c17"


def test_a_line_that_is_no_result_is_left_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"x": 1}\n{"model": "m", "accuracy": 0.5}\n\n[1]\nnot json\n')
    stored = read_rows(path, "run")
    assert [row.model for row in stored.rows] == ["m"]
    assert stored.n_damaged == len(stored.problems) == 3
    assert "line 1: not a result row" in stored.problems[0]
    assert "line 5: not JSON" in stored.problems[2]


@pytest.mark.parametrize("value", [math.nan, math.inf, "high", [], {}, True])
@pytest.mark.parametrize("name", ["accuracy", "seed", "fold", "train_seconds", "energy", "curve"])
def test_values_that_make_no_sense_stop_no_reader(tmp_path, name, value):
    path = rows_file(tmp_path, make_row() | {name: value}, make_row(model="other"))
    broken, whole = read_rows(path).rows
    assert whole.accuracy is not None
    assert getattr(broken, name) in (None, ())
    assert broken.key != whole.key
    RowWriter(path).forget([whole.key])
    assert len(read_rows(path).rows) == 1


def test_a_folder_without_rows_has_none_and_a_file_that_cannot_be_read_is_named(tmp_path):
    assert read_rows(tmp_path / "rows.jsonl").rows == ()
    (tmp_path / "rows.jsonl").mkdir()
    with pytest.raises(RecordingError, match=r"rows\.jsonl: Is a directory"):
        read_rows(tmp_path / "rows.jsonl")


def test_taking_rows_out_leaves_all_other_lines_as_they_are(tmp_path):
    rows = [make_row(seed=seed, later=seed) for seed in range(3)]
    path = rows_file(tmp_path, *rows)
    lines = path.read_bytes().splitlines(keepends=True)
    # of a later evfer, with a number of another spelling; damage that somebody may yet repair
    strange = json.dumps(make_row(seed=9, format=2) | {"new": 1}, indent=None).encode() + b" \n"
    path.write_bytes(b"".join([lines[0], strange, b"not json \xff\n", lines[1], lines[2]]))
    RowWriter(path).forget([row_key(rows[1])])
    assert path.read_bytes() == b"".join([lines[0], strange, b"not json \xff\n", lines[2]])
    changed = path.stat().st_mtime_ns
    RowWriter(path).forget(["other"])
    assert path.stat().st_mtime_ns == changed
    RowWriter(tmp_path / "none.jsonl").forget(["other"])
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize("cut", [1, 60, 10_000])
def test_the_writer_alone_mends_a_last_line_that_was_cut(tmp_path, cut):
    whole, last = (json.dumps(make_row(seed=seed)) for seed in (0, 1))
    path = tmp_path / "rows.jsonl"
    before = f"{whole}\n{last[:cut]}"
    path.write_text(before)
    n_whole = 1 + (cut > len(last))
    assert len(read_rows(path).rows) == n_whole
    assert path.read_text() == before
    RowWriter(path).append(ResultRow.parse(make_row(seed=2), "run"))
    assert [row.seed for row in read_rows(path).rows] == [0, 1, 2][:n_whole] + [2] * (n_whole < 3)
    assert read_rows(path).problems == ()


def test_the_writer_writes_no_row_that_could_not_be_told_from_others(tmp_path):
    path = tmp_path / "rows.jsonl"
    for name in KEY_FIELDS:
        row = {key: value for key, value in make_row().items() if key != name}
        with pytest.raises(DataError, match=f"without {name}"):
            RowWriter(path).append(ResultRow.parse(row, "run"))
    nowhere = make_row(curve=[{"epoch": 1, "train_loss": math.inf}])
    with pytest.raises(DataError, match=r"spiking-fer, fold 0, with curve\.0\.train_loss = inf"):
        RowWriter(path).append(ResultRow.parse(nowhere, "run"))
    assert not path.exists()


def test_names_of_bytes_that_are_no_text_are_kept(tmp_path):
    path = tmp_path / "rows.jsonl"
    row = make_row(dataset="M\udcfcller", set="M\u00fcller")
    RowWriter(path).append(ResultRow.parse(row, "run"))
    assert dict(read_rows(path).rows[0]) == row


def test_many_writers_and_readers_lose_and_double_nothing(tmp_path):
    path = tmp_path / "rows.jsonl"
    small = {name: None for name in KEY_FIELDS} | {"model": "m", "accuracy": 0.5}
    n_writers, n_each = 3, 10

    def write(writer):
        for number in range(n_each):
            row = small | {"seed": writer, "fold": number}
            RowWriter(path).append(ResultRow.parse(row, "run"))
            if number % 2:
                RowWriter(path).forget([row_key(row | {"fold": number - 1})])

    def read(_):
        seen = []
        while len(seen) < n_writers * n_each // 2 or any(row.fold % 2 == 0 for row in seen):
            stored = read_rows(path)
            assert stored.n_damaged == 0
            seen = stored.rows
        return seen

    with ThreadPoolExecutor() as pool:
        reading = [pool.submit(read, i) for i in range(2)]
        list(pool.map(write, range(n_writers)))
        rows = reading[0].result()
    expected = {(writer, fold) for writer in range(n_writers) for fold in range(1, n_each, 2)}
    assert sorted((row.seed, row.fold) for row in rows) == sorted(expected)


def test_rows_of_others_are_seen_once(tmp_path):
    path = tmp_path / "rows.jsonl"
    writer, other = RowWriter(path), RowWriter(path)
    assert writer.read_new() == []
    for seed in range(3):
        other.append(ResultRow.parse(make_row(seed=seed), "run"))
    assert [row.seed for row in writer.read_new()] == [0, 1, 2]
    writer.append(ResultRow.parse(make_row(seed=3), "run"))
    with path.open("a") as file:
        file.write(json.dumps(make_row(seed=4))[:50])  # a row that is being written
    assert [row.seed for row in writer.read_new()] == [3]
    other.append(ResultRow.parse(make_row(seed=5), "run"))
    assert {row.seed for row in writer.read_new()} >= {5}
    other.forget([row_key(make_row(seed=0))])
    assert [row.seed for row in writer.read_new()] == [1, 2, 3, 5]


def test_info_counts_rows_as_all_others_do(tmp_path):
    rows = [make_row(accuracy=1), make_row(seed=1), make_row(seed=2)]
    for row, accuracy in zip(rows, (1, math.nan, 0.5), strict=True):
        row |= {"accuracy": accuracy, "confusion": [], "predictions": []}
    path = rows_file(tmp_path, *rows, text='[1]\n{"a": 1}\n{"format"')
    about = info.describe(path.parent)
    assert (about["rows"], about["damaged_rows"], about["mean_accuracy"]) == (3, 3, 0.75)
    assert (about["models"], about["datasets"]) == (["spiking-fer"], ["demo"])


@pytest.mark.parametrize(
    "command",
    [
        "info {run}",
        "report {run} --out {out}",
        "energy --model spiking-fer --run {run}",
        "energy --model spiking-fer --weights {run}/checkpoints/a-00000000.weights.pt",
        "list",
    ],
)  # fmt: skip
def test_commands_that_read_never_write(tmp_path, command):
    path = rows_file(tmp_path, make_row(), text='{"format": 1, "mod')
    (path.parent / "checkpoints").mkdir()
    (path.parent / "checkpoints" / "a-00000000.weights.pt").touch()
    before, files = path.read_bytes(), sorted(path.parent.rglob("*"))
    changed = path.stat().st_mtime_ns
    main(command.format(run=path.parent, out=tmp_path / "report").split())
    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns == changed
    assert sorted(path.parent.rglob("*")) == files
