"""How much better one setting is than another, on the clips that both were tested on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from evfer import metrics
from evfer.report.read.setting import LEVEL, Setting, mean_known

__all__ = ["Difference", "Shares", "compare", "share_right"]

Shares = dict[tuple[str, int | None, str, str], float]
"""Share of right answers over the seeds, by digest of the folds, fold, clip and subject."""


@dataclass(frozen=True)
class Difference:
    """How much better one setting is than another on the clips that both were tested on.

    Attributes:
        mean: difference of accuracy, first less second, from -1 to 1.
        interval: its 95 % interval over subjects, paired by clip.
        n_clips: clips compared, each as often as it was tested; seeds of the same folds are one.
        resampled_t: corrected resampled t-test over the folds of all repeats, whose scores are
            means over seeds of the same folds; None for fewer than two folds, or rows that do not
            say what they trained on.
        mcnemar: McNemar's test over the clips, each once; None where a clip is tested by more
            than one fold of the same folds.
        n_different: clips of that test.
        voted: whether repeats or seeds disagreed or were several, so that a clip counts there as
            right where more than half of its tests are. Repeats test the same clips, so they are
            no further ones.
    """

    first: str
    second: str
    mean: float
    interval: tuple[float, float]
    n_clips: int
    resampled_t: metrics.ResampledT | None = None
    mcnemar: metrics.McNemar | None = None
    n_different: int = 0
    voted: bool = False

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.interval[0] > 0 or self.interval[1] < 0


def compare(first: Setting, second: Setting, ours: Shares, theirs: Shares) -> Difference | None:
    """Compare two settings on the clips that both were tested on.

    Args:
        first: the one whose lead is measured.
        second: the other.
        ours: what `share_right` gives of the first.
        theirs: the same of the second.

    Returns:
        The difference; None where they share no tests, or only those of one person.
    """
    # of a repeat that only one of them has, or has in full, nothing can be paired
    apart = {key[0] for key in ours.keys() ^ theirs.keys()}
    if apart:
        ours = {key: right for key, right in ours.items() if key[0] not in apart}
    if not ours:
        return None
    subjects = [subject for *_, subject in ours]
    if len(set(subjects)) < 2:
        return None
    pairs = [(right, theirs[key]) for key, right in ours.items()]
    first_right, second_right = zip(*pairs, strict=True)
    # whole people are drawn, as for the interval of one setting's accuracy
    interval = metrics.paired_bootstrap(first_right, second_right, subjects, level=LEVEL)
    clips = {(clip, subject) for _, _, clip, subject in ours}
    answered = {*first_right, *second_right} <= {0.0, 1.0}
    mean = float(np.mean(first_right) - np.mean(second_right))
    return Difference(
        first.name,
        second.name,
        mean,
        interval,
        len(ours),
        _resampled_t(first, second, ours, theirs),
        _mcnemar(ours, theirs),
        len(clips),
        not answered or len(clips) < len(ours),
    )


def _resampled_t(
    first: Setting, second: Setting, ours: Shares, theirs: Shares
) -> metrics.ResampledT | None:
    gains: dict[tuple[str, int | None], list[float]] = defaultdict(list)
    for key, right in ours.items():
        gains[key[:2]].append(right - theirs[key])
    trained = mean_known(row.n_train for row in (*first.rows, *second.rows))
    if len(gains) < 2 or any(fold is None for _, fold in gains) or not trained:
        return None
    tested = len(ours) / len(gains)
    return metrics.corrected_resampled_t(
        [float(np.mean(g)) for g in gains.values()], trained, tested
    )


def _mcnemar(ours: Shares, theirs: Shares) -> metrics.McNemar | None:
    """Test over clips, each once: right is what more than half of its tests have right."""
    if len({(split, *clip) for split, _, *clip in ours}) < len(ours):
        return None
    votes: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for key, right in ours.items():
        vote = votes[key[2:]]
        vote[0] += right - 0.5
        vote[1] += theirs[key] - 0.5
    # shares such as thirds do not add up to the last bit
    first, second = zip(*((a > 1e-9, b > 1e-9) for a, b in votes.values()), strict=True)
    return metrics.mcnemar(first, second)


def share_right(setting: Setting) -> Shares:
    """Give the share of right answers for each test of a clip, over seeds of the same folds."""
    answers: dict[tuple[str, int | None, str, str], list[bool]] = defaultdict(list)
    for row in setting.rows:
        for said in row.predictions:
            answers[row.folds_sha256, row.fold, said.clip_id, said.subject].append(said.right)
    return {key: sum(right) / len(right) for key, right in answers.items()}
