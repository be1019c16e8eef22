"""A results folder: runs, their rows, and how they were started."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evfer import config
from evfer.bench.rows import ResultRow, read_rows
from evfer.errors import ConfigError, DataError, RecordingError
from evfer.pictures.text import shorten

__all__ = ["Bench", "Results", "Run", "read_results"]

_LONGEST_TEXT = 20_000


@dataclass(frozen=True)
class Bench:
    """One command that wrote into a run; empty where its `run.toml` does not say.

    Args:
        model: the network it measured.
        recipe_sha256: digest of the recipe it followed.
        command: the command line that repeats it.
        recipe: the recipe itself.
    """

    model: str = ""
    recipe_sha256: str = ""
    command: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """How one run was started; empty where its `run.toml` does not say.

    Args:
        name: the run's folder.
        benches: the commands that wrote into it.
        data: the data folder that it read.
        settings: the text of its `run.toml`.
        folder: where it lies.
    """

    name: str
    benches: tuple[Bench, ...] = ()
    data: Path | None = None
    settings: str = ""
    folder: Path | None = None

    def recipe(self, row: ResultRow) -> Mapping[str, Any]:
        """Give the recipe that a row followed; empty where it is not kept."""
        for bench in self.benches:
            if bench.recipe_sha256 and bench.recipe_sha256 == row.recipe_sha256:
                return bench.recipe
        return {}

    def commands(self, row: ResultRow) -> tuple[str, ...]:
        """Give the commands that can have written a row."""
        fits = (
            bench.command
            for bench in self.benches
            if bench.command
            and bench.model in ("", row.model)
            and bench.recipe_sha256 in ("", row.recipe_sha256)
        )
        return tuple(dict.fromkeys(fits))


@dataclass(frozen=True)
class Results:
    """Everything that a results folder says.

    Args:
        rows: one for each run, set, model with its source, protocol, recipe, folds, seed and fold;
            the last one written.
        runs: by name.
        problems: what could not be used, in words.
    """

    rows: tuple[ResultRow, ...]
    runs: Mapping[str, Run] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read_results(folder: Path) -> Results:
    """Read a run's folder, or a folder of runs.

    Raises:
        DataError: if there are no rows to read.
    """
    folder = Path(folder)
    paths = [folder / "rows.jsonl"] if (folder / "rows.jsonl").is_file() else []
    if not paths:
        # a study nests its runs one level deeper
        paths = sorted({*folder.glob("*/rows.jsonl"), *folder.glob("*/*/rows.jsonl")})
    if not paths:
        raise DataError(
            f"{folder}: {'no rows.jsonl' if folder.is_dir() else 'no such folder'}",
            expected="a run's folder with a rows.jsonl, or a folder of such runs",
            hint=(
                "energies come with the rows of evfer bench: report on its folder"
                if (folder / "energy.json").is_file()
                else "Run evfer bench first"
            ),
        )
    rows: list[ResultRow] = []
    problems: list[str] = []
    runs: dict[str, Run] = {}
    for path in paths:
        name = path.parent.resolve().name
        if path.parent != folder:
            name = path.parent.relative_to(folder).as_posix()
        name = shorten(name, 200)
        try:
            stored = read_rows(path, name)
        except RecordingError as error:
            problems.append(f"run {name}: {error.found}; it is left out.")
            continue
        run, complaint = _read_run(path.parent / "run.toml", name)
        runs[name] = run
        for row in stored.rows:
            runs.setdefault(row.run, run)
        rows += stored.rows
        problems += [*stored.problems, *complaint]
    if not rows:
        said = f" ({problems[0].rstrip('.')})" if problems else ""
        raise DataError(
            f"{folder}: no fold has ended yet{said}",
            expected="at least one whole line in a rows.jsonl",
            hint="Run evfer bench, or wait until its first fold ends",
        )
    kept, repeated = _keep_last(rows)
    if repeated:
        problems.append(
            f"{repeated} rows stand for a fold that a later row repeats; the later ones count."
        )
    return Results(tuple(kept), runs, tuple(problems))


def _keep_last(rows: list[ResultRow]) -> tuple[list[ResultRow], int]:
    last: dict[Any, ResultRow] = {}
    for index, row in enumerate(rows):
        # rows that do not say which fold they are cannot repeat one another
        which: Any = (row.fold, row.seed) if row.fold is not None else index
        shaped = (row.recipe_sha256, row.folds_sha256, row.data_fingerprint, row.model_sha256)
        key = (row.run, row.set_name, row.model, row.protocol, *shaped, which)
        last.pop(key, None)
        last[key] = row
    return list(last.values()), len(rows) - len(last)


def _read_run(path: Path, name: str) -> tuple[Run, list[str]]:
    if not path.is_file():
        return Run(name, folder=path.parent), []
    try:
        found = config.read_toml(path)
        text = path.read_text(encoding="utf-8")
    except (ConfigError, OSError) as error:
        return Run(name, folder=path.parent), [f"run {name}: its run.toml cannot be read ({error})"]
    below = found.get("bench")
    tables = [found, *(below.values() if isinstance(below, dict) else ())]
    benches = [_read_bench(table) for table in tables if isinstance(table, dict)]
    folders = [table.get("data") for table in tables if isinstance(table, dict)]
    data = next((folder for folder in folders if isinstance(folder, str) and folder), None)
    return Run(
        name,
        tuple(bench for bench in benches if bench.command or bench.recipe),
        Path(data) if data else None,
        text[:_LONGEST_TEXT],
        path.parent,
    ), []


def _read_bench(table: Mapping[str, Any]) -> Bench:
    command = table.get("command", "")
    if isinstance(command, list):
        command = shlex.join(str(word) for word in command)
    model, digest = (table.get(name, "") for name in ("model", "recipe_sha256"))
    recipe = table.get("recipe")
    return Bench(
        shorten(str(model), 200),
        shorten(str(digest), 200),
        shorten(str(command), 2000),
        recipe if isinstance(recipe, dict) else {},
    )
