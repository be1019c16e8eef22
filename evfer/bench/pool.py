"""Folds in this process, in several or on a cluster, with their progress told as they go.

Worker processes live as long as there are folds, so that PyTorch is imported and a set is loaded
once a process. They are started fresh rather than forked, since PyTorch keeps threads; a script
that asks for several therefore needs the usual `if __name__ == "__main__":`. A fold whose process
was killed is tried again, alone, and goes on from its checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from evfer import workers
from evfer.bench.fold import FoldJob, run_fold
from evfer.bench.rows import ResultRow
from evfer.errors import BusyError, EvferError, OutputError
from evfer.locks import folder_lock
from evfer.training import TrainEvent

__all__ = ["run_jobs", "take_slot"]

_STEP_EVERY_S = 0.2


def run_jobs(
    jobs: Iterable[FoldJob],
    n_workers: int | None,
    tell: Callable[[FoldJob, TrainEvent], None],
    scheduler: str | None = None,
    shared: workers.SharedFolder | None = None,
) -> Generator[tuple[FoldJob, ResultRow | EvferError]]:
    """Run folds and give their rows, or why they failed, in order of completion.

    Args:
        jobs: the folds; the next is asked for when a worker is free for it, and after the row
            before it was given.
        n_workers: number of processes; 1 runs in this one. With a scheduler the most folds to
            have under way together.
        tell: called in this process after each epoch of any fold, and after each batch or, where
            folds run elsewhere, a few times a second.
        scheduler: address of a running Dask scheduler.
        shared: what the cluster's workers must share with this process.

    Returns:
        A generator of (job, row), or the error in the row's place. It raises an EvferError as
        soon as a fold fails of what would befall all others too; those that are under way are
        stopped then, as when it is closed, and go on from their checkpoints another time.
    """
    serial = scheduler is None and n_workers == 1
    train = run_fold if serial else functools.partial(_run_remote, shared, scheduler is not None)
    # returned as it is: another generator around it would be one more frame on the stack
    return workers.run(train, jobs, n_workers, scheduler, on_message=tell, what=_name)


def _run_remote(
    shared: workers.SharedFolder | None, on_cluster: bool, job: FoldJob, callback: workers.Callback
) -> ResultRow:
    """Run a fold in a process beside others, on this machine or another one."""
    if shared:
        shared.require((job.folder,))
    _choose_gpu()
    if on_cluster and job.run.threads is None:
        options = dataclasses.replace(job.run, threads=workers.cluster_threads())
        job = dataclasses.replace(job, run=options)
    return run_fold(job, _Throttled(callback))


def _name(job: FoldJob) -> str:
    return f"fold {job.fold} of {job.folder.name}"


class _Throttled:
    """Hands on each epoch's end, but of the batches only a few a second."""

    def __init__(self, callback: workers.Callback) -> None:
        self._callback, self._last_s = callback, 0.0

    def __call__(self, event: TrainEvent) -> None:
        now = time.monotonic()
        if event.kind == "epoch" or now - self._last_s >= _STEP_EVERY_S:
            self._callback(event)
            self._last_s = now


@functools.cache  # once a process
def _choose_gpu() -> None:
    """Spread the worker processes of a machine over its GPUs; each then sees one."""
    import torch

    if torch.cuda.is_initialized():  # too late: CUDA has read the variable
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
    if len(devices) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[take_slot() % len(devices)]


def take_slot(folder: Path | None = None) -> int:
    """Take the lowest number that no other living process on this machine has taken.

    Numbers go with their process, however it ends, and hold across several runs and a cluster's
    workers alike.

    Args:
        folder: where the locks are; by default the system's temporary folder.

    Returns:
        The number, from 0; the same at each call for a folder.
    """
    return _take_slot(folder or Path(tempfile.gettempdir()))


@functools.cache
def _take_slot(folder: Path) -> int:
    user = os.getuid() if hasattr(os, "getuid") else 0
    for slot in itertools.count():
        held = contextlib.ExitStack()
        try:
            held.enter_context(
                folder_lock(folder, name=f"evfer-slot-{user}-{slot}.lock", wait=False)
            )
        except BusyError:
            continue
        except OutputError:  # without a place for locks, chance spreads as well
            return os.getpid()
        _HELD.append(held)  # left with the process, which frees the slot
        return slot
    raise AssertionError("numbers do not end")


_HELD: list[contextlib.ExitStack] = []
