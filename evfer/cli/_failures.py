"""What `evfer bench` and `evfer study` do about folds that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evfer.cli import _console as console
from evfer.errors import EvferError

if TYPE_CHECKING:
    from evfer.bench.fold import FoldJob

__all__ = ["Failures"]

_ENOUGH = 3


class Failures:
    """Name each fold that fails while the others go on.

    Where the first few fail and none has ended, all would: then the failure ends everything.
    """

    def __init__(self, progress: console.Progress, any_ended: Callable[[], bool]) -> None:
        self._progress, self._any_ended = progress, any_ended
        self._errors: list[EvferError] = []

    def __call__(self, job: FoldJob, error: EvferError) -> None:
        """Take a fold that failed, and why."""
        self._errors.append(error)
        place = f"fold {job.fold + 1} of {len(job.plan.splits)}, seed {job.seed}"
        self._progress.say(
            f"FAILED: {job.model} on {job.dataset}, {job.config.name}, {place}: {error.found}",
            "red",
        )
        if len(self._errors) >= _ENOUGH and not self._any_ended():
            raise error

    def __bool__(self) -> bool:
        return bool(self._errors)

    def end(self) -> None:
        """Say how many failed and raise the first one's error, if any did."""
        if not self._errors:
            return
        n = len(self._errors)
        folds = "1 fold" if n == 1 else f"{n} folds"
        console.warn(f"{folds} failed; the same command tries again. The first:")
        raise self._errors[0]
