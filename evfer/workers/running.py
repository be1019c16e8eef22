"""The one loop that runs tasks, on whichever executor."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from evfer.errors import (
    ClusterError,
    ConfigError,
    DataError,
    EvferError,
    MissingExtra,
    OutputError,
)
from evfer.workers.cluster import ClusterExecutor
from evfer.workers.executors import Callback, ProcessExecutor, SerialExecutor, TaskExecutor

__all__ = ["open_executor", "run"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_CHECK_EVERY_S = 2.0
_MESSAGES_EVERY_S = 0.2


@contextlib.contextmanager
def open_executor(
    n_workers: int | None,
    scheduler: str | None = None,
    on_message: Callable[[int, Any], None] | None = None,
) -> Iterator[TaskExecutor]:
    """Make an executor ready, and end it with the block.

    Args:
        n_workers: number of processes; 1 or None is this one. With a scheduler the most tasks
            to have under way together; None leaves that to the size of the cluster.
        scheduler: address of a running Dask scheduler, such as tcp://host:8786.
        on_message: called with a task's number and each of its messages where all is done here;
            other executors keep theirs until `TaskExecutor.messages` is asked for.

    Raises:
        ConfigError: for fewer than one worker.
        ClusterError: if no scheduler answers.
        MissingExtra: if a scheduler is named and Dask is not installed.
    """
    _check_number(n_workers)
    executor: TaskExecutor
    if scheduler is not None:
        executor = ClusterExecutor(scheduler, n_workers)
    elif n_workers in (None, 1):
        executor = SerialExecutor(on_message)
    else:
        executor = ProcessExecutor(n_workers)
    try:
        yield executor
    except BaseException:
        executor.terminate()
        raise
    finally:
        executor.shutdown()


@dataclass(frozen=True)
class _Attempt(Generic[Task]):
    """A task under way.

    Args:
        task: the task.
        alone: how often it has been tried alone, this time included.
    """

    task: Task
    alone: int = 0


def run(
    function: Callable[[Task, Callback], Result],
    tasks: Iterable[Task],
    n_workers: int | None = None,
    scheduler: str | None = None,
    *,
    on_message: Callable[[Task, Any], None] | None = None,
    what: Callable[[Task], str] | str = "this clip",
) -> Generator[tuple[Task, Result | EvferError]]:
    """Run tasks and give each one's result, or the error it raised, in order of completion.

    Args:
        function: a module-level function that takes a task and a callback for messages: little
            ones, and a few times a second at most. Unless all is done here it, the tasks, the
            messages and the results cross process borders.
        tasks: the tasks; the next is asked for when a worker is free for it.
        n_workers: see `open_executor`.
        scheduler: see `open_executor`.
        on_message: called in this process with a task and each of its messages; what it raises
            ends everything.
        what: what a task is, for errors, or what says it of one.

    Yields:
        (task, result), after the task's messages. An error of a kind that evfer raises on purpose
        takes the result's place unless nothing further can succeed. A task whose process keeps
        dying gives a DataError.

    Raises:
        ConfigError: for fewer than one worker.
        ClusterError: if no scheduler answers, or its cluster cannot do the work.
        OutputError: as soon as a task cannot write, since no other will be able to.
        MissingExtra: as soon as a task finds that something is not installed, likewise.
    """
    _check_number(n_workers)
    if isinstance(tasks, Sequence):
        if not tasks:
            return
        n_workers = 1 if scheduler is None and len(tasks) == 1 else n_workers
    attempts: dict[int, _Attempt[Task]] = {}

    def deliver(number: int, message: Any) -> None:
        # without an attempt it comes from one that was given up
        if on_message and number in attempts:
            on_message(attempts[number].task, message)

    waiting = iter(tasks)
    suspects: list[_Attempt[Task]] = []
    running: dict[Future[Result], int] = {}
    numbers = itertools.count()
    checked_s = time.monotonic()
    with open_executor(n_workers, scheduler, deliver) as executor:
        while True:
            # few under way together, so that few are under suspicion at a death
            n_free = max(0, executor.width - len(running))
            fresh = [_Attempt(task) for task in itertools.islice(waiting, n_free)]
            if not (running or fresh):
                # what was under way when a process died runs again alone, to find the culprit
                fresh, suspects = suspects[:1], suspects[1:]
            for attempt in fresh:
                number = next(numbers)
                attempts[number] = attempt
                callback = executor.callback(number)
                running[executor.submit(function, attempt.task, callback)] = number
            if not running:
                return
            done = wait(running, timeout=_MESSAGES_EVERY_S, return_when=FIRST_COMPLETED).done
            for number, message in executor.messages():
                deliver(number, message)
            if not done and time.monotonic() - checked_s > _CHECK_EVERY_S:
                executor.check()
                checked_s = time.monotonic()
            lost: list[_Attempt[Task]] = []
            for future in done:
                attempt = attempts.pop(running.pop(future))
                result: Result | EvferError
                try:
                    result = future.result()
                except executor.deaths:
                    lost.append(attempt)
                    continue
                except (OutputError, ClusterError, MissingExtra):
                    raise
                except EvferError as error:
                    result = error
                except (Exception, CancelledError) as error:
                    explained = executor.explain(error)
                    if explained is None:
                        raise
                    raise explained from error
                yield attempt.task, result
            if lost and executor.restart():
                lost += [attempts.pop(number) for number in running.values()]
                running.clear()
            for attempt in lost:
                if attempt.alone < executor.tries_alone:
                    suspects.append(replace(attempt, alone=attempt.alone + 1))
                else:
                    yield attempt.task, _died(what if isinstance(what, str) else what(attempt.task))


def _check_number(n_workers: int | None) -> None:
    if n_workers is not None and n_workers < 1:
        raise ConfigError(f"{n_workers} workers", expected="1 or more")


def _died(name: str) -> DataError:
    return DataError(
        f"the process that worked on {name} died",
        hint="Is there enough memory? Try fewer --workers",
    )
