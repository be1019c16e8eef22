"""The one loop that runs tasks, whoever does them."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from evfer.errors import (
    ClusterError,
    ConfigError,
    DataError,
    EvferError,
    MissingExtra,
    OutputError,
)
from evfer.workers.crew import Crew, Here, Line, Processes

__all__ = ["cluster_threads", "open_crew", "require_scheduler", "run", "run_with_news"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_WATCH_EVERY_S = 2.0
_LISTEN_EVERY_S = 0.2


@contextlib.contextmanager
def open_crew(
    n_workers: int | None,
    scheduler: str | None = None,
    on_news: Callable[[int, Any], None] | None = None,
) -> Iterator[Crew]:
    """Make ready those who will do tasks.

    Args:
        n_workers: number of processes; 1 or None is this one. With a scheduler the most tasks
            to have under way together; None leaves that to the size of the cluster.
        scheduler: address of a running Dask scheduler, such as tcp://host:8786.
        on_news: called with a task's number and each piece of news where all is done here;
            others keep theirs until `Crew.news` is asked for.

    Raises:
        ConfigError: for fewer than one worker.
        ClusterError: if no scheduler answers.
        MissingExtra: if a scheduler is named and Dask is not installed.
    """
    _check_number(n_workers)
    crew: Crew
    if scheduler is not None:
        # Dask takes long to load
        from evfer.workers.cluster import Cluster

        crew = Cluster(scheduler, n_workers)
    else:
        crew = Here(on_news) if n_workers in (None, 1) else Processes(n_workers)
    try:
        yield crew
    except BaseException:
        crew.stop()
        raise
    finally:
        crew.close()


def require_scheduler(address: str) -> None:
    """Make sure, before long work, that a Dask scheduler answers; see `open_crew`."""
    from evfer.workers import cluster

    cluster.require_scheduler(address)


def cluster_threads() -> int:
    """Say how many threads the cluster's worker that does this task may use."""
    from evfer.workers import cluster

    return cluster.cluster_threads()


def run(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    n_workers: int | None = None,
    scheduler: str | None = None,
    *,
    what: Callable[[Task], str] | str = "this clip",
) -> Generator[tuple[Task, Result | EvferError]]:
    """Run tasks and give each one's result, or the error it raised, in order of completion.

    Args:
        function: a module-level function; unless all is done here it, the tasks and the results
            cross process borders.
        tasks: the tasks; the next is asked for when there is someone to do it.
        n_workers: see `open_crew`.
        scheduler: see `open_crew`.
        what: what a task is, for messages, or what says it of one.

    Yields:
        (task, result); an error of a kind that evfer raises on purpose takes the result's place
        unless nothing further can succeed. A task whose process keeps dying gives a DataError.

    Raises:
        ConfigError: for fewer than one worker.
        ClusterError: if no scheduler answers, or its cluster cannot do the work.
        OutputError: as soon as a task cannot write, since no other will be able to.
        MissingExtra: as soon as a task finds that something is not installed, likewise.
    """
    yield from run_with_news(
        functools.partial(_without_news, function), tasks, _ignore, n_workers, scheduler, what=what
    )


def run_with_news(
    function: Callable[[Task, Line], Result],
    tasks: Iterable[Task],
    on_news: Callable[[Task, Any], None],
    n_workers: int | None = None,
    scheduler: str | None = None,
    *,
    what: Callable[[Task], str] | str = "this clip",
) -> Generator[tuple[Task, Result | EvferError]]:
    """Run tasks that tell how far they are; see `run`.

    Args:
        function: takes a task and what it is to call with each piece of news: little, and a few
            times a second at most.
        tasks: the tasks.
        on_news: called in this process with a task and its news; what it raises ends everything.
        n_workers: see `open_crew`.
        scheduler: see `open_crew`.
        what: what a task is, for messages, or what says it of one.

    Yields:
        See `run`; a task's news come before its result.
    """
    _check_number(n_workers)
    few = n_workers
    if isinstance(tasks, Sequence):
        if not tasks:
            return
        few = 1 if scheduler is None and len(tasks) == 1 else n_workers
    under_way: dict[int, Task] = {}

    def tell(number: int, message: Any) -> None:
        if number in under_way:  # else it comes from an attempt that was given up
            on_news(under_way[number], message)

    with open_crew(few, scheduler, tell) as crew:
        job: _Job[Task, Result] = _Job(crew, function, tell, itertools.count(), under_way)
        suspects: list[Task] = []
        for task, result in _run(job, tasks):
            if isinstance(result, _Death):
                suspects.append(task)
            else:
                yield task, result
        # what was under way when a process died runs again alone, to find the culprit
        for task in suspects:
            last = _run_alone(job, task, what)
            yield task, last


def _without_news(function: Callable[[Task], Result], task: Task, line: Line) -> Result:
    return function(task)


def _ignore(task: object, message: object) -> None:
    """Take news that nobody wants."""


def _check_number(n_workers: int | None) -> None:
    if n_workers is not None and n_workers < 1:
        raise ConfigError(f"{n_workers} workers", expected="1 or more")


class _Death:
    """Stands where a task's result would, had its process lived."""


@dataclass(frozen=True)
class _Job(Generic[Task, Result]):
    """What the loop needs: who does the tasks, what they do, and where their news go."""

    crew: Crew
    function: Callable[[Task, Line], Result]
    tell: Callable[[int, Any], None]
    numbers: Iterator[int]
    under_way: dict[int, Task]


def _run_alone(
    job: _Job[Task, Result], task: Task, what: Callable[[Task], str] | str
) -> Result | EvferError:
    for _ in range(job.crew.tries_alone):
        ((_, again),) = _run(job, [task])
        if not isinstance(again, _Death):
            return again
    name = what if isinstance(what, str) else what(task)
    return DataError(
        f"the process that worked on {name} died",
        hint="Is there enough memory? Try fewer --workers",
    )


def _run(
    job: _Job[Task, Result], tasks: Iterable[Task]
) -> Iterator[tuple[Task, Result | EvferError | _Death]]:
    """Run tasks; those that were under way when a process died come back as deaths."""
    crew, under_way = job.crew, job.under_way
    waiting = iter(tasks)
    running: dict[Future[Result | EvferError], int] = {}
    watched_s = time.monotonic()
    while True:
        # few under way together, so that few are under suspicion at a death
        for task in itertools.islice(waiting, max(0, crew.width - len(running))):
            number = next(job.numbers)
            under_way[number] = task
            line = crew.line(number)
            running[crew.executor.submit(_outcome, job.function, task, line)] = number
        if not running:
            return
        done = wait(running, timeout=_LISTEN_EVERY_S, return_when=FIRST_COMPLETED).done
        for number, message in crew.news():
            job.tell(number, message)
        if not done and time.monotonic() - watched_s > _WATCH_EVERY_S:
            crew.watch()
            watched_s = time.monotonic()
        died = False
        for future in done:
            task = under_way.pop(running.pop(future))
            result: Result | EvferError | _Death
            try:
                result = future.result()
            except crew.deaths:
                result, died = _Death(), True
            except EvferError:
                raise
            except (Exception, CancelledError) as error:
                told = crew.explain(error)
                if told is None:
                    raise
                raise told from error
            yield task, result
        if died and crew.renew():
            for number in running.values():
                yield under_way.pop(number), _Death()
            running.clear()


def _outcome(
    function: Callable[[Task, Line], Result], task: Task, line: Line
) -> Result | EvferError:
    try:
        return function(task, line)
    except (OutputError, ClusterError, MissingExtra):
        raise
    except EvferError as error:
        return error
