"""The one loop that runs tasks, whoever does them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from typing import TypeVar

from evfer.errors import (
    ClusterError,
    ConfigError,
    DataError,
    EvferError,
    MissingExtra,
    OutputError,
)
from evfer.workers.crew import Crew, Here, Processes

__all__ = ["open_crew", "require_scheduler", "run"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_WATCH_EVERY_S = 2.0


@contextlib.contextmanager
def open_crew(n_workers: int | None, scheduler: str | None = None) -> Iterator[Crew]:
    """Make ready those who will do tasks.

    Args:
        n_workers: number of processes; 1 or None is this one. With a scheduler the most tasks
            to have under way together; None leaves that to the size of the cluster.
        scheduler: address of a running Dask scheduler, such as tcp://host:8786.

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
        crew = Here() if n_workers in (None, 1) else Processes(n_workers)
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


def run(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    n_workers: int | None = None,
    scheduler: str | None = None,
) -> Iterator[tuple[Task, Result | EvferError]]:
    """Run tasks and give each one's result, or the error it raised, in order of completion.

    Args:
        function: a module-level function; unless all is done here it, the tasks and the results
            cross process borders.
        tasks: the tasks.
        n_workers: see `open_crew`.
        scheduler: see `open_crew`.

    Yields:
        (task, result); an error of a kind that evfer raises on purpose takes the result's place
        unless nothing further can succeed. A task whose process keeps dying gives a DataError.

    Raises:
        ConfigError: for fewer than one worker.
        ClusterError: if no scheduler answers, or its cluster cannot do the work.
        OutputError: as soon as a task cannot write, since no other will be able to.
        MissingExtra: as soon as a task finds that something is not installed, likewise.
    """
    _check_number(n_workers)
    if not tasks:
        return
    few = 1 if scheduler is None and len(tasks) == 1 else n_workers
    with open_crew(few, scheduler) as crew:
        suspects: list[Task] = []
        for task, result in _run(crew, function, tasks):
            if isinstance(result, _Death):
                suspects.append(task)
            else:
                yield task, result
        # what was under way when a process died runs again alone, to find the culprit
        for task in suspects:
            yield task, _run_alone(crew, function, task)


def _check_number(n_workers: int | None) -> None:
    if n_workers is not None and n_workers < 1:
        raise ConfigError(f"{n_workers} workers", expected="1 or more")


class _Death:
    """Stands where a task's result would, had its process lived."""


def _run_alone(crew: Crew, function: Callable[[Task], Result], task: Task) -> Result | EvferError:
    for _ in range(crew.tries_alone):
        ((_, again),) = _run(crew, function, [task])
        if not isinstance(again, _Death):
            return again
    return DataError(
        "the process that worked on this clip died",
        hint="Is there enough memory? Try fewer --workers",
    )


def _run(
    crew: Crew, function: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[tuple[Task, Result | EvferError | _Death]]:
    """Run tasks; those that were under way when a process died come back as deaths."""
    waiting = iter(tasks)
    running: dict[Future[Result | EvferError], Task] = {}
    while True:
        # few under way together, so that few are under suspicion at a death
        for task in itertools.islice(waiting, max(0, crew.width - len(running))):
            running[crew.executor.submit(_outcome, function, task)] = task
        if not running:
            return
        done = wait(running, timeout=_WATCH_EVERY_S, return_when=FIRST_COMPLETED).done
        if not done:
            crew.watch()
        died = False
        for future in done:
            task = running.pop(future)
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
            for other in running.values():
                yield other, _Death()
            running.clear()


def _outcome(function: Callable[[Task], Result], task: Task) -> Result | EvferError:
    try:
        return function(task)
    except (OutputError, ClusterError, MissingExtra):
        raise
    except EvferError as error:
        return error
