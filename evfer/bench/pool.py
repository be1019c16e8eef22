"""Folds in this process or in several, with their progress told as they go.

Worker processes live as long as there are folds, so that PyTorch is imported and a set is loaded
once a process. They are started fresh rather than forked, since PyTorch keeps threads; a script
that asks for several therefore needs the usual `if __name__ == "__main__":`.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

from evfer.bench.fold import FoldJob, run_fold
from evfer.bench.rows import Row
from evfer.errors import DataError
from evfer.training import TrainEvent
from evfer.workers import remove_stale_parts

__all__ = ["run_jobs"]


def run_jobs(
    jobs: Iterable[FoldJob], workers: int, tell: Callable[[FoldJob, TrainEvent], None]
) -> Iterator[tuple[FoldJob, Row]]:
    """Run folds and give their rows in order of completion.

    Args:
        jobs: the folds; the next is asked for when there is a process for it, and after the row
            before it was given.
        workers: number of processes; 1 runs in this one.
        tell: called in this process after each batch and each epoch of any fold.

    Yields:
        (job, row).

    Raises:
        EvferError: as soon as one fold fails; the others are stopped, and go on from their
            checkpoints another time.
    """
    if workers == 1:
        for job in jobs:
            yield job, run_fold(job, lambda event, job=job: tell(job, event))  # type: ignore[misc]
        return
    context = multiprocessing.get_context("spawn")
    waiting = iter(jobs)
    busy: dict[Connection, FoldJob] = {}
    processes: list[BaseProcess] = []
    out: Path | None = None
    ended = False
    try:
        for number, job in enumerate(itertools.islice(waiting, workers)):
            out = job.out
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(
                target=_serve, args=(theirs, number), daemon=True
            )
            process.start()
            theirs.close()
            processes.append(process)
            busy[ours] = job
            ours.send(job)
        while busy:
            for line in cast(list[Connection], wait(list(busy))):
                job = busy[line]
                kind, value = _receive(line, job)
                if kind == "event":
                    tell(job, value)
                elif kind == "error":
                    raise value
                else:
                    yield job, value
                    following = next(waiting, None)
                    line.send(following)
                    if following is None:
                        del busy[line]
                    else:
                        busy[line] = following
        ended = True
    finally:
        for process in processes:
            # checkpoints are whole files, so a fold may be stopped anywhere
            if not ended:
                process.terminate()
            process.join()
        if out:
            remove_stale_parts(out)


def _receive(line: Connection, job: FoldJob) -> tuple[str, Any]:
    try:
        found: tuple[str, Any] = line.recv()
    except (EOFError, ConnectionResetError) as error:
        raise DataError(
            f"the process that trained fold {job.fold} of {job.folder.name} died",
            hint="Is there enough memory? Try fewer --workers; what is done is kept",
        ) from error
    return found


def _serve(line: Connection, number: int) -> None:
    # Ctrl-C reaches the whole group; the parent ends its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _choose_gpu(number)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while (job := line.recv()) is not None:
            try:
                row = run_fold(job, lambda event: line.send(("event", event)))
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:  # noqa: BLE001 (whatever it is, the parent raises it)
                line.send(("error", error))
            else:
                line.send(("row", row))


def _choose_gpu(number: int) -> None:
    """Spread worker processes over the GPUs; each then sees one."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
    if len(devices) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
