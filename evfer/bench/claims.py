"""Who measures which fold, where several processes work on one run's folder."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from evfer.bench.fold import FoldJob
from evfer.errors import BusyError
from evfer.locks import folder_lock

__all__ = ["Claims", "explain_busy"]


class Claims:
    """The folds that this process measures: each a lock, which goes with its process.

    Args:
        out: the run's folder.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._held: dict[str, contextlib.ExitStack] = {}

    def take(self, job: FoldJob) -> None:
        """Claim a fold.

        Raises:
            BusyError: if another process measures it; the message names that process.
        """
        with contextlib.ExitStack() as claim:
            claim.enter_context(folder_lock(self._out, name=_name(job), wait=False))
            self._held[job.key] = claim.pop_all()

    def release(self, job: FoldJob, *, done: bool = False) -> None:
        """Let a fold go; where it is done, with its row on disk, no trace stays."""
        if done:
            # who has just opened the file finds the row
            with contextlib.suppress(OSError):
                (self._out / _name(job)).unlink()
        self._held.pop(job.key).close()

    def require_free(self, job: FoldJob) -> None:
        """Make sure that no other process measures a fold.

        Raises:
            BusyError: if one does.
        """
        if (self._out / _name(job)).exists():
            self.take(job)
            self.release(job)

    def close(self) -> None:
        """Let all folds go."""
        for claim in self._held.values():
            claim.close()
        self._held.clear()


def explain_busy(busy: Sequence[tuple[FoldJob, BusyError]]) -> BusyError:
    """Say which folds other processes measure; the first is named, with its process."""
    job, error = busy[0]
    more = f" and {len(busy) - 1} more" if len(busy) > 1 else ""
    return BusyError(
        f"{error.found}, which measures fold {job.fold} of {job.folder.name}{more}",
        expected="one process for each fold",
        hint="Once it has ended, the same command does what is left; or choose another --run",
    )


def _name(job: FoldJob) -> str:
    return f".fold-{job.key[:16]}.lock"
