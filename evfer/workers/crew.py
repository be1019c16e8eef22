"""Who does the tasks: this process, or processes beside it."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Protocol

from evfer.errors import EvferError

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

__all__ = ["Crew", "Here", "Line", "News", "Processes", "default_workers", "limit_threads"]


Line = Callable[[Any], None]
"""What a task calls with a piece of news; anything small that can be pickled."""

News = tuple[int, Any]
"""Number of a task, and what it sent."""


class Crew(Protocol):
    """Those who do tasks, behind an executor of the standard library's kind.

    `deaths` are the errors that say that a task's process died; `tries_alone` is how often a
    task that was under way then is tried once more, alone.
    """

    deaths: tuple[type[BaseException], ...]
    tries_alone: int

    @property
    def executor(self) -> Executor:
        """Where tasks are submitted; another one after a death, so ask each time."""
        ...

    @property
    def width(self) -> int:
        """How many tasks to have under way together."""
        ...

    def watch(self) -> None:
        """Look after those at work while nothing finishes.

        Raises:
            EvferError: if nothing ever will.
        """
        ...

    def line(self, number: int) -> Line:
        """Give task `number` what it sends news by; it crosses process borders."""
        ...

    def news(self) -> Iterable[News]:
        """Give the news that tasks have sent and that nobody has taken yet."""
        ...

    def explain(self, error: BaseException) -> EvferError | None:
        """Say in words what lies behind an error that no task has raised on purpose."""
        ...

    def renew(self) -> bool:
        """Make ready for more tasks after a death; tell whether all under way are lost."""
        ...

    def stop(self) -> None:
        """Give up what is under way; what tasks were writing are temporary files."""
        ...

    def close(self) -> None:
        """Let everyone go."""
        ...


def default_workers() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads() -> None:
    """Let the libraries that tasks use keep to one thread: the tasks share the cores already."""
    import cv2
    import numba

    cv2.setNumThreads(1)
    numba.set_num_threads(1)


class Here:
    """This process, one task at a time, each done when it is submitted.

    Args:
        on_news: called with each piece of news at once; what it raises ends the task.
    """

    deaths: tuple[type[BaseException], ...] = ()
    tries_alone = 0
    width = 1

    def __init__(self, on_news: Callable[[int, Any], None] | None = None) -> None:
        self.executor: Executor = _AtOnce()
        self._on_news = on_news
        self._undo = contextlib.ExitStack()
        self._undo.enter_context(_one_thread())

    def watch(self) -> None:
        """Nothing runs while this process waits."""

    def line(self, number: int) -> Line:
        """Give a line that ends where news are wanted, without a detour."""
        return functools.partial(self._on_news, number) if self._on_news else _to_nobody

    def news(self) -> Iterable[News]:
        """None is ever kept."""
        return ()

    def explain(self, error: BaseException) -> EvferError | None:
        """Nothing is known here that the error does not say."""
        return None

    def renew(self) -> bool:
        """Nothing to renew."""
        return False

    def stop(self) -> None:
        """Nothing is under way."""

    def close(self) -> None:
        """Give the libraries their threads back."""
        self._undo.close()


class _AtOnce(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)
        return future


class Processes:
    """Processes on this machine.

    They are started fresh rather than forked, since the libraries that tasks use keep threads.

    Args:
        width: how many.
    """

    deaths: tuple[type[BaseException], ...] = (BrokenProcessPool,)
    tries_alone = 2

    def __init__(self, width: int) -> None:
        self.width = width
        self._strangers = set(multiprocessing.active_children())
        self._pool = _Pool(width)

    @property
    def executor(self) -> Executor:
        """The pool."""
        return self._pool

    def watch(self) -> None:
        """The pool itself tells of deaths."""

    def line(self, number: int) -> Line:
        """Give a line through the pipe of whichever process does the task."""
        return functools.partial(_send, number)

    def news(self) -> Iterable[News]:
        """Empty all processes' pipes."""
        return self._pool.news()

    def explain(self, error: BaseException) -> EvferError | None:
        """Nothing is known here that the error does not say."""
        return None

    def renew(self) -> bool:
        """Start other processes in the place of those that are left."""
        self.close()
        self._pool = _Pool(self.width)
        return True

    def stop(self) -> None:
        """End the processes at once; they ignore Ctrl-C."""
        for process in set(multiprocessing.active_children()) - self._strangers:
            process.terminate()

    def close(self) -> None:
        """Wait for the processes' end."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool.hang_up()


class _Pool(ProcessPoolExecutor):
    """A pool whose processes have a pipe each, for news.

    One pipe for all would need a lock, and a process that is killed while it holds one silences
    the others. A piece of news is less than what a pipe takes whole, so none is ever cut short.
    """

    def __init__(self, width: int) -> None:
        context = multiprocessing.get_context("spawn")
        pipes = [context.Pipe(duplex=False) for _ in range(width)]
        self._ends = [ours for ours, _ in pipes]
        self._others = [theirs for _, theirs in pipes]
        arguments = (context.Value("i", 0), self._others)
        super().__init__(width, mp_context=context, initializer=_start_worker, initargs=arguments)

    def news(self) -> Iterator[News]:
        """Give what has come in."""
        for end in self._ends:
            while end.poll():
                yield end.recv()

    def hang_up(self) -> None:
        """Close all pipes."""
        for end in (*self._ends, *self._others):
            end.close()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with _deaf_children():  # a first task may start a process
            return super().submit(fn, *args, **kwargs)


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
    """Let processes that start meanwhile never hear Ctrl-C, not even while they load.

    Ctrl-C reaches every process of a terminal; this one ends its workers itself.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(counter: Synchronized[int], pipes: Sequence[Connection]) -> None:
    global _PIPE
    with counter.get_lock():
        _PIPE = pipes[counter.value]
        counter.value += 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # a killed parent cannot end its workers, and they would wait for tasks for good
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit_threads()


_PIPE: Connection | None = None  # a worker process's own; set once, when it starts


def _send(number: int, message: Any) -> None:
    if _PIPE is not None:
        _PIPE.send((number, message))


def _to_nobody(message: Any) -> None:
    """Take news that nobody wants."""


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
