"""Run a study's folds within a budget of time."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from evfer import provenance
from evfer.bench import BenchEvent, ResultRow, run
from evfer.bench.fold import FoldJob
from evfer.errors import ConfigError, EvferError
from evfer.study.grid import Grid

__all__ = ["Pace", "State", "examine", "parse_duration", "run_study"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LATEST = 5
_NEARLY_DONE_S = 30.0


def parse_duration(text: str) -> float:
    """Read a duration such as 90m, 2h or 1h30m.

    Args:
        text: numbers, each with a unit of d, h, m or s.

    Returns:
        Seconds, 0 or more.

    Raises:
        ConfigError: for anything else.

    Examples:
        >>> parse_duration("1h30m"), parse_duration("45s")
        (5400.0, 45.0)
    """
    plain = text.replace(" ", "").lower()
    if not re.fullmatch(r"(\d+(\.\d+)?[dhms])+", plain):
        raise ConfigError(f'a time of "{text}"', expected="numbers with d, h, m or s, such as 2h")
    return sum(float(n) * _UNITS[u] for n, _, u in re.findall(r"(\d+(\.\d+)?)([dhms])", plain))


@dataclass
class Pace:
    """How long folds of each network and set take here, learnt from those that ended."""

    _seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def learn(self, row: ResultRow) -> None:
        """Take a row's times, if they are of this machine."""
        here = {name: str(value) for name, value in provenance.machine().items()}
        if not here.items() <= row.machine.items() or row.train_seconds is None:
            return
        seconds = row.train_seconds + (row.test_seconds or 0.0)
        self._seconds.setdefault((row.set_name, row.model), []).append(seconds)

    def expect(self, job: FoldJob) -> float | None:
        """Give the seconds that a fold will take; None if nothing like it has ended yet."""
        known = self._seconds.get((job.folder.name, job.model))
        return statistics.median(known[-_LATEST:]) if known else None

    def expect_all(self, jobs: Sequence[FoldJob], workers: int = 1) -> float | None:
        """Give the seconds that several folds will take; None if that of one is not known."""
        each = [self.expect(job) for job in jobs]
        known = [seconds for seconds in each if seconds is not None]
        return sum(known) / workers if len(known) == len(each) else None


@dataclass(frozen=True)
class State:
    """How far a study is.

    Args:
        done: folds that have a row.
        total: folds of the grid.
        out_of_time: whether the budget ended it.
        seconds_left: estimate for the folds without a row; None if not known.
    """

    done: int
    total: int
    out_of_time: bool = False
    seconds_left: float | None = None


class _TimeIsUpError(Exception):
    """Ends a fold at the end of an epoch; its checkpoint stays."""


def run_study(
    grid: Grid,
    *,
    budget_s: float | None = None,
    resume: bool = True,
    command: str = "",
    progress: Callable[[BenchEvent], None] | None = None,
    failed: Callable[[FoldJob, EvferError], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> State:
    """Run the folds of a study that have no row yet.

    Args:
        grid: the study.
        budget_s: time to spend. A fold is not begun if folds like it take longer than what is
            left, and one that is still running then is left at the end of an epoch, to go on from
            its checkpoint another time, unless it needs no more than half a minute.
        resume: keep rows and checkpoints that are there.
        command: what the user typed, for `run.toml`.
        progress: called with each piece of news.
        failed: called with each fold that fails; see `evfer.bench.run`.
        clock: gives the seconds.

    Returns:
        How far the study is.

    Raises:
        EvferError: as soon as a fold fails, unless `failed` hears of it. Finished rows stay.
    """
    deadline = None if budget_s is None else clock() + budget_s
    pace, left = Pace(), {job.key: job for job in grid.jobs}
    keys = {key: job.key for job in grid.jobs for key in job.keys}
    stopped = False

    def admit(jobs: Sequence[FoldJob]) -> Iterator[FoldJob]:
        nonlocal stopped
        for job in jobs:
            if deadline is not None and clock() + (pace.expect(job) or 0.0) >= deadline:
                stopped = True
                return
            yield job

    def tell(event: BenchEvent) -> None:
        if event.row is not None:
            pace.learn(event.row)
            left.pop(keys[event.row.key], None)
        if progress:
            progress(event)
        news = event.train
        over = deadline is not None and clock() > deadline
        # what was done since the last checkpoint would be lost
        if over and news and news.kind == "epoch" and news.seconds_left > _NEARLY_DONE_S:
            raise _TimeIsUpError

    try:
        run(
            grid.jobs,
            resume=resume,
            command=command,
            progress=tell,
            admit=admit,
            failed=failed,
        )
    except _TimeIsUpError:
        stopped = True
    seconds_left = pace.expect_all([*left.values()], grid.jobs[0].run.workers or 1)
    return State(len(grid.jobs) - len(left), len(grid.jobs), stopped, seconds_left)


def examine(grid: Grid) -> State:
    """Say how far a study is, without running anything."""
    rows, pace = grid.rows(), Pace()
    for row in rows.values():
        pace.learn(row)
    left = [job for i, job in enumerate(grid.jobs) if i not in rows]
    return State(len(rows), len(grid.jobs), False, pace.expect_all(left))
