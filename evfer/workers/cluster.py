"""An executor whose workers are those of a running Dask cluster.

Dask itself runs a task again when its worker dies, up to three times; only then does it count
as a death here. What the scheduler forgets, as when somebody restarts the cluster, is asked for
again. A worker that has several threads gets one task at a time all the same, since
dlib and OpenCV keep state that tasks would share: start workers with one thread each.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import pickle
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from typing import Any

from evfer.errors import ClusterError, EvferError, MissingExtra
from evfer.workers.executors import Callback, Message, TaskExecutor, limit_threads, run_explained

__all__ = ["ClusterExecutor", "cluster_threads", "require_scheduler"]

_CONNECT_S = 8.0
_NO_WORKER_S = 60.0  # without any worker; a cluster that grows on demand needs some time
_COUNT_EVERY_S = 2.0
_BACKLOG = 2  # tasks a worker: one under way and one at hand
_ASK_AGAIN = 3  # times for a task that the scheduler forgets
_EXAMPLE = "the address of a running Dask scheduler, such as tcp://HOST:8786"
_HINT = "Start one with: dask scheduler, and on each machine: dask worker ADDRESS --nthreads 1"
_ONE_AT_A_TIME = threading.Lock()


class ClusterExecutor(TaskExecutor):
    """The workers of a Dask cluster, each task wrapped in what a worker needs that others share.

    Dask's own executor asks for a future's state after it has the result. A worker that dies in
    between changes that state, and the caller gets an error for a result, a TypeError, or
    nothing ever; so each future is awaited here.

    Args:
        address: the scheduler's address.
        most: the most tasks to have under way together; None for as many as suit the cluster.

    Raises:
        MissingExtra: if Dask is not installed.
        ClusterError: if no Dask scheduler answers at the address.
    """

    tries_alone = 1

    def __init__(self, address: str, most: int | None) -> None:
        require_scheduler(address)
        from distributed import Client, KilledWorker

        self.deaths = (KilledWorker,)
        self._address = address
        self._most = most
        # what it has to say when a connection breaks, the errors here say in words
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        self._client: Any
        try:
            self._client = Client(address, timeout=_CONNECT_S, set_as_default=False, name="evfer")
        except (OSError, ValueError, RuntimeError) as error:
            raise _no_answer(address, error) from error
        self._dask_futures: set[Any] = set()
        self._terminated = False
        self._n_workers = 0
        self._counted_s = self._manned_s = time.monotonic()
        self._count_workers(anew=True)
        self._topic: str | None = None
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()

    @property
    def width(self) -> int:  # type: ignore[override]
        """Twice as many tasks as there are workers, which may come and go."""
        self._count_workers()
        return min(_BACKLOG * max(1, self._n_workers), self._most or 2**31)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a task to the scheduler."""
        future: Future[Any] = Future()
        ask = functools.partial(
            self._client.submit, _on_worker, run_explained, fn, *args, pure=False, **kwargs
        )
        # here, so that what cannot be pickled is told to whoever hands it in
        self._client.loop.add_callback(self._settle, ask(), ask, future)
        return future

    def callback(self, number: int) -> Callback:
        """Give what sends through the scheduler, which hands on what is said on a run's topic."""
        if self._topic is None:
            self._topic = f"evfer-{secrets.token_hex(8)}"
            self._client.subscribe_topic(self._topic, self._receive)
        return functools.partial(_send, self._topic, number)

    def messages(self) -> Iterable[Message]:
        """Give what has come from the scheduler."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._messages.get_nowait()

    def check(self) -> None:
        """Look whether there still are a scheduler and workers.

        Raises:
            ClusterError: if there are none.
        """
        if self._client.status != "running":
            raise self._gone()
        self._count_workers()
        if time.monotonic() - self._manned_s > _NO_WORKER_S:
            raise ClusterError(
                f"{self._address}: no worker for {_NO_WORKER_S:.0f} s",
                expected="at least one",
                hint=f"Start one with: dask worker {self._address} --nthreads 1",
            )

    def explain(self, error: BaseException) -> EvferError | None:
        """Tell a cluster that is no more, or lacks evfer, from a fault in a task."""
        if isinstance(error, CancelledError):
            return self._gone()
        if isinstance(error, ImportError) or "deserialization" in str(error):
            cause = error.__cause__ or error
            return ClusterError(
                f"{self._address}: the cluster cannot load the task ({str(cause).splitlines()[0]})",
                expected="evfer, in this version, for the scheduler and every worker",
                hint="Install it there with the same constraints.txt",
            )
        return None

    def terminate(self) -> None:
        """Take back what has not begun; workers finish the clips that they are at."""
        self._terminated = True
        unfinished = list(self._dask_futures)
        if unfinished and self._client.status == "running":
            self._client.cancel(unfinished)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, which goes on."""
        if self._topic is not None and self._client.status == "running":
            with contextlib.suppress(OSError, ValueError):
                self._client.unsubscribe_topic(self._topic)
        self._client.close(timeout=2)

    def _receive(self, event: tuple[float, Any]) -> None:
        number, message = event[1]
        self._messages.put((number, pickle.loads(message)))

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"{self._address}: the Dask scheduler has gone away",
            expected="a scheduler that lives until the end",
            hint="What is finished is kept; start it and run the same command again",
        )

    def _count_workers(self, anew: bool = False) -> None:
        now = time.monotonic()
        if not anew and now - self._counted_s < _COUNT_EVERY_S:
            return
        self._counted_s = now
        try:
            self._n_workers = len(self._client.ncores())
        except OSError as error:
            raise self._gone() from error
        if self._n_workers:
            self._manned_s = now

    async def _settle(self, dask_future: Any, ask: Callable[[], Any], future: Future[Any]) -> None:
        try:
            future.set_result(await self._result(dask_future, ask))
        except asyncio.CancelledError:  # the client is closed
            future.set_exception(CancelledError())
        except Exception as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)

    async def _result(self, dask_future: Any, ask: Callable[[], Any]) -> Any:
        for _ in range(_ASK_AGAIN):
            self._dask_futures.add(dask_future)
            try:
                return await dask_future
            except CancelledError as error:
                if self._terminated or self._client.status != "running":
                    raise
                reason = str(error)
            finally:
                self._dask_futures.discard(dask_future)
            dask_future = ask()
        raise ClusterError(
            f"the Dask scheduler has forgotten a task {_ASK_AGAIN} times ({reason})",
            expected="one that keeps tasks until they are done",
            hint="Does somebody restart the cluster? What is finished is kept; run it again",
        )


def _on_worker(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with _ONE_AT_A_TIME:
        limit_threads()
        return function(*args, **kwargs)


def _send(topic: str, number: int, message: Any) -> None:
    from distributed import get_worker

    # the scheduler hands on plain data alone
    get_worker().log_event(topic, (number, pickle.dumps(message)))


def cluster_threads() -> int:
    """Give the threads of the worker that does this task, `--nthreads` of dask worker."""
    from distributed import get_worker

    return int(get_worker().state.nthreads)


def require_scheduler(address: str) -> None:
    """Make sure, before long work, that a Dask scheduler answers at an address.

    Raises:
        MissingExtra: if Dask is not installed.
        ClusterError: if none answers.
    """
    try:
        from distributed.core import rpc
    except ImportError as error:
        raise MissingExtra(
            f"--scheduler needs Dask ({error})",
            expected="the extra dask",
            hint='pip install "evfer[dask]"',
        ) from error

    # asked for directly: a client would go on trying after its time is over
    async def ask() -> Any:
        async with rpc(address, timeout=_CONNECT_S) as peer:
            return await asyncio.wait_for(peer.identity(), _CONNECT_S)

    try:
        identity = asyncio.run(ask())
    except Exception as error:  # whoever answers there may say anything
        raise _no_answer(address, error) from error
    kind = identity.get("type") if isinstance(identity, dict) else type(identity).__name__
    if kind != "Scheduler":
        raise ClusterError(f"{address}: a Dask {kind}", expected=_EXAMPLE)


def _no_answer(address: str, error: BaseException) -> ClusterError:
    return ClusterError(
        f"{address}: no Dask scheduler answers ({str(error) or type(error).__name__})",
        expected=_EXAMPLE,
        hint=_HINT,
    )
