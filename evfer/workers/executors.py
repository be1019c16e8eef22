"""Executors: run tasks here, or in processes on this machine."""

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
from typing import TYPE_CHECKING, Any

from evfer import plugins
from evfer.errors import EvferError

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

__all__ = [
    "Callback",
    "Message",
    "ProcessExecutor",
    "SerialExecutor",
    "TaskExecutor",
    "default_workers",
    "limit_threads",
    "run_explained",
]


Callback = Callable[[Any], None]
"""What a task calls with a message; anything small that can be pickled."""

Message = tuple[int, Any]
"""Number of a task, and what it sent."""


class TaskExecutor(Executor):
    """An executor of the standard library's kind that also carries messages and outlives deaths.

    `deaths` are the errors that say that a task's process died; `tries_alone` is how often a
    task that was under way then is tried once more, alone; `width` is how many tasks to have
    under way together.
    """

    deaths: tuple[type[BaseException], ...] = ()
    tries_alone = 0
    width: int = 1

    def callback(self, number: int) -> Callback:
        """Give what task `number` sends messages by; it crosses process borders."""
        raise NotImplementedError

    def messages(self) -> Iterable[Message]:
        """Give the messages that tasks have sent and that nobody has taken yet."""
        return ()

    def check(self) -> None:
        """Look after the workers while nothing finishes.

        Raises:
            EvferError: if nothing ever will.
        """

    def explain(self, error: BaseException) -> EvferError | None:
        """Say in words what lies behind an error that no task has raised on purpose."""
        return None

    def restart(self) -> bool:
        """Make ready for more tasks after a death; tell whether all under way are lost."""
        return False

    def terminate(self) -> None:
        """Give up what is under way; what tasks were writing are temporary files."""


def default_workers() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads() -> None:
    """Let the libraries that tasks use keep to one thread: the tasks share the cores already."""
    import cv2
    import numba

    cv2.setNumThreads(1)
    numba.set_num_threads(1)


class SerialExecutor(TaskExecutor):
    """This process, one task at a time, each done when it is submitted.

    Args:
        on_message: called with a task's number and each of its messages at once; what it raises
            ends the task.
    """

    def __init__(self, on_message: Callable[[int, Any], None] | None = None) -> None:
        self._on_message = on_message or _ignore
        self._listeners_error: BaseException | None = None
        self._undo = contextlib.ExitStack()
        self._undo.enter_context(_one_thread())

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a task to its end."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - raised where the result is asked
            ended = error is self._listeners_error
            future.set_exception(error if ended else _explain(error))
        return future

    def callback(self, number: int) -> Callback:
        """Give what calls the function that messages are for."""

        def send(message: Any) -> None:
            try:
                self._on_message(number, message)
            except BaseException as error:
                self._listeners_error = error  # whoever listens may end everything
                raise

        return send

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Give the libraries their threads back."""
        self._undo.close()


class ProcessExecutor(TaskExecutor):
    """Processes on this machine.

    They are started fresh rather than forked, since the libraries that tasks use keep threads.

    Args:
        width: how many.
    """

    deaths = (BrokenProcessPool,)
    tries_alone = 2

    def __init__(self, width: int) -> None:
        self.width = width
        self._children_before = set(multiprocessing.active_children())
        self._pool = _Pool(width)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a task to the next free process."""
        with _ignoring_interrupts():  # a first task may start a process
            return self._pool.submit(run_explained, fn, *args, **kwargs)

    def callback(self, number: int) -> Callback:
        """Give what sends through the pipe of whichever process does the task."""
        return functools.partial(_send, number)

    def messages(self) -> Iterable[Message]:
        """Empty all processes' pipes."""
        return self._pool.messages()

    def restart(self) -> bool:
        """Start other processes in the place of those that are left."""
        self.shutdown()
        self._pool = _Pool(self.width)
        return True

    def terminate(self) -> None:
        """End the processes at once; they ignore Ctrl-C."""
        for process in set(multiprocessing.active_children()) - self._children_before:
            process.terminate()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the processes' end."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool.close_pipes()


class _Pool(ProcessPoolExecutor):
    """A pool whose processes have a pipe each, for messages.

    One pipe for all would need a lock, and a process that is killed while it holds one silences
    the others. A message is less than what a pipe takes whole, so none is ever cut short.
    """

    def __init__(self, width: int) -> None:
        context = multiprocessing.get_context("spawn")
        pipes = [context.Pipe(duplex=False) for _ in range(width)]
        self._receivers = [receiver for receiver, _ in pipes]
        self._senders = [sender for _, sender in pipes]
        arguments = (context.Value("i", 0), self._senders)
        super().__init__(width, mp_context=context, initializer=_start_worker, initargs=arguments)

    def messages(self) -> Iterator[Message]:
        """Give what has come in."""
        for receiver in self._receivers:
            while receiver.poll():
                yield receiver.recv()

    def close_pipes(self) -> None:
        """Close both ends of all pipes."""
        for end in (*self._receivers, *self._senders):
            end.close()


def run_explained(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a task in a process of its own; what outsiders' code raises there is told as theirs.

    A traceback, which tells whose code it was, does not cross process borders.
    """
    try:
        return function(*args, **kwargs)
    except (Exception, SystemExit) as error:
        explained = _explain(error)
        if explained is error:
            raise
        raise explained from error


def _explain(error: BaseException) -> BaseException:
    if isinstance(error, EvferError):
        return error
    return plugins.explain_fault(error) or error


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
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


def _ignore(number: int, message: Any) -> None:
    """Take messages that nobody wants."""


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
