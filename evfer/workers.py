"""Run tasks here or in worker processes, and live through what happens to those.

Results do not depend on the number of workers: each task is a pure function of its argument.
Processes are started fresh rather than forked, since the libraries that tasks use keep threads.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from evfer.errors import ConfigError, DataError, EvferError, OutputError

__all__ = ["default_workers", "remove_stale_parts", "run"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_TRIES_ALONE = 2


def default_workers() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    function: Callable[[Task], Result], tasks: Sequence[Task], n_workers: int
) -> Iterator[tuple[Task, Result | EvferError]]:
    """Run tasks and give each one's result, or the error it raised, in order of completion.

    Args:
        function: a module-level function; with several workers it, the tasks and the results
            cross process borders.
        tasks: the tasks.
        n_workers: number of processes; 1 runs in this one.

    Yields:
        (task, result); an error of a kind that evfer raises on purpose takes the result's place
        unless nothing further can succeed. A task whose process keeps dying gives a DataError.

    Raises:
        ConfigError: for fewer than one worker.
        OutputError: as soon as a task cannot write, since no other will be able to.
    """
    if n_workers < 1:
        raise ConfigError(f"{n_workers} workers", expected="1 or more")
    if n_workers == 1 or len(tasks) <= 1:
        with _one_thread():
            for task in tasks:
                yield task, _outcome(function, task)
        return
    suspects: list[Task] = []
    for task, result in _run_pool(function, tasks, n_workers):
        if isinstance(result, BrokenProcessPool):
            suspects.append(task)
        else:
            yield task, result
    # what was running when a process died runs again alone, to find the culprit
    for task in suspects:
        for _ in range(_TRIES_ALONE):
            ((_, again),) = _run_pool(function, [task], 1)
            if not isinstance(again, BrokenProcessPool):
                yield task, again
                break
        else:
            yield (
                task,
                DataError(
                    "the process that worked on this clip died",
                    hint="Is there enough memory? Try fewer --workers",
                ),
            )


def _run_pool(
    function: Callable[[Task], Result], tasks: Sequence[Task], n_workers: int
) -> Iterator[tuple[Task, Result | EvferError | BrokenProcessPool]]:
    """Run tasks in a pool; when it breaks, those in flight come back as broken."""
    waiting = iter(tasks)
    strangers = set(multiprocessing.active_children())
    executor = _pool(n_workers)
    running: dict[Future[Result | EvferError], Task] = {}
    try:
        while True:
            # no more in flight than workers, so that few tasks are under suspicion at a death
            while len(running) < n_workers:
                task = next(waiting, None)
                if task is None:
                    break
                running[executor.submit(_outcome, function, task)] = task
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                try:
                    yield task, future.result()
                except BrokenProcessPool as error:
                    yield task, error
                    for other in running.values():
                        yield other, error
                    running.clear()
                    executor.shutdown(wait=True)
                    executor = _pool(n_workers)
                    break
    except BaseException:
        # workers ignore Ctrl-C; what they were writing is a temporary file, so they may be stopped
        for process in set(multiprocessing.active_children()) - strangers:
            process.terminate()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _pool(n_workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(n_workers, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2
    import numba

    cv2.setNumThreads(1)
    numba.set_num_threads(1)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _outcome(function: Callable[[Task], Result], task: Task) -> Result | EvferError:
    try:
        return function(task)
    except OutputError:
        raise
    except EvferError as error:
        return error


def remove_stale_parts(folder: Path) -> None:
    """Remove temporary files that processes which no longer live have left under a folder."""
    for path in folder.rglob(".*.part*"):
        match = re.search(r"\.(\d+)\.part", path.name)
        if match and not _alive(int(match[1])):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return False  # an open file cannot be removed there, so trying does no harm
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
