"""What the numbers say, in sentences that claim no more than they hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evfer import folds, metrics
from evfer.report.read.comparison import Comparison
from evfer.report.read.difference import Difference
from evfer.report.read.setting import Setting
from evfer.report.read.studies import AugmentationStudy, Variant

__all__ = [
    "chosen",
    "comparison_warnings",
    "describe",
    "headlines",
    "interval",
    "join",
    "leak_sentences",
    "percent",
    "points",
    "probability",
    "rule",
    "study_range",
    "tally",
    "warnings",
    "whole",
]

_MOST_NAMED = 3
"""Settings that a sentence each is spent on; with more, they are counted."""

_SIGNIFICANT = 0.05

_RULES = {
    "last": "none, it is the last",
    "inner_validation": "inner validation",
    "best_test_epoch": "test clips (optimistic)",
}


def percent(share: float | None) -> str:
    """Write a share as a percentage with one decimal; a dash where it is not known."""
    return "–" if share is None else f"{share:.1%}"  # noqa: RUF001  an en dash is meant


def points(difference: float) -> str:
    """Write a difference of shares in percentage points, without a sign where it rounds to none.

    Examples:
        >>> points(0.0234), points(-0.0001)
        ('+2.3', '0.0')
    """
    text = f"{100 * difference:+.1f}".replace("-", "\N{MINUS SIGN}")
    return "0.0" if text[1:] == "0.0" else text


def interval(bounds: tuple[float, float] | None) -> str:
    """Write an interval of shares as percentages."""
    return "–" if bounds is None else f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}%"  # noqa: RUF001


def join(items: Sequence[str]) -> str:
    """Join names as a sentence does.

    Examples:
        >>> join(["a", "b", "c"])
        'a, b and c'
    """
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def rule(setting: Setting) -> str:
    """Say by what the reported epoch was chosen."""
    chosen = setting.first.selected_on
    return _RULES.get(chosen, chosen or "not stated")


def headlines(comparison: Comparison) -> list[str]:
    """Say who is ahead, by how much, and whether that is shown; the lead first."""
    scored = [setting for setting in comparison.settings if setting.accuracy]
    if not scored:
        return ["No row states an accuracy."]
    best = scored[0]
    if len(scored) == 1:
        return [f"{best.name} is right on {_score(best)}."]
    tied = [setting for setting in scored if _tie(setting, best)]
    lead = f"{best.name} scores highest, with {_score(best)}." if len(tied) == 1 else _tied(tied)
    rest = scored[1 + _MOST_NAMED :]
    sentences = [
        lead,
        *(_compare(comparison, best, other) for other in scored[1 : 1 + _MOST_NAMED]),
    ]
    if rest:
        means = sorted(setting.accuracy.mean for setting in rest if setting.accuracy)
        ends = dict.fromkeys((percent(means[0]), percent(means[-1])))
        sentences.append(
            f"{len(rest)} more reach {' to '.join(ends)}; the table of accuracies names them."
        )
    return sentences


def study_range(study: AugmentationStudy) -> str:
    """Say how far a study's sets of augmentations lie apart, with all that share an end."""
    lowest, highest = study.variants[-1], study.variants[0]
    if study.level:
        return f"{percent(highest.mean)} with each of them"
    return " to ".join(
        f"{percent(end.mean)} ({_name_variants(study, end)})" for end in (lowest, highest)
    )


def _name_variants(study: AugmentationStudy, end: Variant) -> str:
    alike = metrics.tie_key(end.mean)
    names = [item.label for item in study.variants if metrics.tie_key(item.mean) == alike]
    return join(names) if len(names) <= _MOST_NAMED else f"{len(names)} sets alike"


def _tie(first: Setting, second: Setting) -> bool:
    assert first.accuracy is not None  # only settings with a score are compared
    assert second.accuracy is not None
    return metrics.tie_key(first.accuracy.mean) == metrics.tie_key(second.accuracy.mean)


def _tied(settings: Sequence[Setting]) -> str:
    """Say that none of the best settings is ahead."""
    few = len(settings) <= _MOST_NAMED + 1
    names = join([g.name for g in settings]) if few else f"{len(settings)} sets of results"
    none = "neither" if len(settings) == 2 else "none"
    score = percent(settings[0].accuracy.mean if settings[0].accuracy else None)
    helped = [setting.name for setting in settings if setting.optimistic]
    text = f"{names} score alike, with {score} of the test clips: {none} is ahead"
    if helped:
        whose = "" if len(helped) == len(settings) else f" for {_name_some(helped, len(settings))}"
        text += f", with help from the test data{whose}"
    return f"{text}."


def _score(setting: Setting) -> str:
    assert setting.accuracy is not None  # only settings with a score are named here
    text = f"{percent(setting.accuracy.mean)} of the test clips"
    if setting.interval:
        text += f" (95% interval over {setting.n_subjects} subjects: {interval(setting.interval)})"
    if setting.optimistic:
        text += ", with help from the test data"
    return text


def _compare(comparison: Comparison, best: Setting, other: Setting) -> str:
    assert best.accuracy is not None
    assert other.accuracy is not None
    gap, tie = best.accuracy.mean - other.accuracy.mean, _tie(best, other)
    differences = [item for item in comparison.differences if item.second == other.name]
    lead = f"{other.name} reaches {percent(other.accuracy.mean)}"
    if other.interval:
        lead += f" ({interval(other.interval)})"
    if not differences:
        less = "as much" if tie else f"{abs(100 * gap):.1f} points less"
        return (
            f"{lead}, {less}; the two were not tested on the same clips "
            "and folds, or their rows hold no predictions, so the difference is not judged."
        )
    return f"{lead}. {_judge(differences[0], tie)}"


def _judge(difference: Difference, tie: bool) -> str:
    return " ".join([_judge_interval(difference, tie), *_tests(difference)])


def _tests(difference: Difference) -> list[str]:
    """Name the tests of a difference."""
    tests = []
    t, mcnemar = difference.resampled_t, difference.mcnemar
    if t:
        tests.append(
            f"corrected resampled t-test over {t.n_splits} folds: p {probability(t.p_value)}"
        )
    if mcnemar:
        voted = ", each right if more than half of its tests are," if difference.voted else ""
        tests.append(
            f"McNemar's test over {difference.n_different} clips{voted} ({mcnemar.first_only} that "
            f"only {difference.first} has right, {mcnemar.second_only} that only "
            f"{difference.second} has): p {probability(mcnemar.p_value)}"
        )
    text = "; ".join(tests)
    return [f"{text[0].upper()}{text[1:]}."] if tests else []


def probability(p_value: float) -> str:
    """Write what a p-value is, with two digits that count; tiny ones as a bound.

    Examples:
        >>> probability(0.0321), probability(0.5), probability(1e-9), probability(0.997)
        ('= 0.032', '= 0.50', '< 0.0001', '= 1.00')
    """
    if p_value < 1e-4:
        return "< 0.0001"
    digits = max(2, 1 - math.floor(math.log10(p_value)))
    return f"= {p_value:.{digits}f}"


def _judge_interval(difference: Difference, tie: bool) -> str:
    low, high = (points(bound) for bound in difference.interval)
    measured = (
        f"On the same clips the difference is {points(difference.mean)} points "
        f"(95% interval {low} to {high})"
    )
    if not difference.shown:
        return f"{measured}: the interval holds zero, so no difference between the two is shown."
    if tie:
        better = difference.first if difference.mean > 0 else difference.second
        return (
            f"{measured}: clip by clip {better} is better, although the means over folds are equal."
        )
    if difference.mean > 0 and _all_tests_agree(difference):
        return f"{measured}: the interval leaves out zero, so {difference.first} is better here."
    if difference.mean > 0:
        return (
            f"{measured}: the interval leaves out zero, but not every test agrees; "
            f"{difference.first} is ahead here, and not yet shown to be better."
        )
    return (
        f"{measured}: clip by clip {difference.second} is better, although its mean over folds is "
        "lower"
    )


def _all_tests_agree(difference: Difference) -> bool:
    tests = (difference.resampled_t, difference.mcnemar)
    return all(test.p_value < _SIGNIFICANT for test in tests if test)


def describe(comparison: Comparison) -> list[str]:
    """Say how the scores stand to guessing, and what limits them; one sentence an item."""
    scored = [setting for setting in comparison.settings if setting.accuracy]
    if len(scored) > _MOST_NAMED + 1:
        sentences = [_all_against_guessing(scored)]
    else:
        sentences = [_against_guessing(setting) for setting in scored]
        sentences += [text for setting in comparison.settings for text in _manners(setting)]
    sources: dict[str, set[str]] = {}
    for setting in comparison.settings:
        sources.setdefault(setting.first.model, set()).add(setting.first.model_sha256)
    sentences += [
        f"{model} has results of {len(found)} sources, which are kept apart; each is named by the "
        "first digits of its digest."
        for model, found in sources.items()
        if len(found) > 1
    ]
    if len(comparison.settings) > 2 and comparison.differences:
        sentences.append(
            f"{len(comparison.differences)} differences are judged one by one here; the "
            "comparisons below correct for their number."
        )
    return sentences


def _manners(setting: Setting) -> list[str]:
    """Say how repeats differ, how well confidences fit, and how soon a network is right."""
    sentences = []
    over = setting.over_rounds
    if over and over.std is not None:
        what = "with folds of their own" if len(setting.splits) > 1 else "of the same folds"
        sentences.append(
            f"{setting.name}: the mean accuracies of {over.n} repeats {what} differ by "
            f"{100 * over.std:.1f} points (standard deviation)."
        )
    if setting.ece is not None:
        sentences.append(
            f"{setting.name}: expected calibration error {percent(setting.ece)}"
            f"{', all answers together' if setting.calibration else ', mean over results'}."
        )
    if setting.anytime:
        shares = ", ".join(f"{share:.0%}" for share in setting.anytime)
        sentences.append(
            f"{setting.name}: accuracy after step 1 to {len(setting.anytime)}: {shares}."
        )
    return sentences


def _all_against_guessing(settings: Sequence[Setting]) -> str:
    above = sum(
        setting.interval is not None and setting.interval[0] > max(known)
        for setting in settings
        if (known := [v for v in (setting.chance, setting.majority) if v is not None])
    )
    return (
        f"Of {len(settings)} sets of results, the whole interval of {above} lies above guessing "
        "evenly and always naming the commonest class."
    )


def _against_guessing(setting: Setting) -> str:
    known = {
        words: value
        for words, value in (
            ("guessing evenly", setting.chance),
            ("always naming the commonest class", setting.majority),
        )
        if value is not None
    }
    if not known or setting.accuracy is None:
        return f"{setting.name}: the rows state no chance level."
    if len(set(known.values())) == 1 and len(known) == 2:
        what = f"{join(list(known))} (both {percent(next(iter(known.values())))})"
    else:
        what = join([f"{words} ({percent(value)})" for words, value in known.items()])
    highest = max(known.values())
    if setting.interval is None:
        side = "above" if setting.accuracy.mean > highest else "not above"
        return f"{setting.name} scores {side} {what}; without an interval that shows little."
    if setting.interval[0] > highest:
        return f"The whole interval of {setting.name} lies above {what}."
    if setting.interval[1] < highest:
        return f"The interval of {setting.name} lies below the better of {what}."
    return (
        f"{setting.name} is not shown to do better than {what}: its interval reaches down to there."
    )


def warnings(setting: Setting) -> list[str]:
    """Say what a reader must know before trusting a setting's scores; one sentence an item."""
    cautions = []
    n_folds = max((row.n_folds or 0 for row in setting.rows), default=0)
    if setting.optimistic:
        chose = join(list(setting.leak.test_chose or ())) or "epoch"
        cautions.append(f"OPTIMISTIC: the test clips chose the {chose}, so the score is too good.")
    if setting.collapsed:
        cautions.append(
            f"COLLAPSED: in {_count(setting.collapsed, 'fold result')} of {len(setting.rows)} at "
            "least 95% of the answers are one class."
        )
    missing = sum(row.accuracy is None for row in setting.rows)
    if missing:
        says = "row states no accuracy and counts" if missing == 1 else "rows state none and count"
        cautions.append(f"{missing} of {len(setting.rows)} {says} nothing in the mean.")
    # each repeat has all folds again; of one that has not begun the rows know nothing
    done, wanted = len(setting.tests), n_folds * len(setting.rounds)
    if wanted > done:
        times = f" in {len(setting.rounds)} repeats" if len(setting.rounds) > 1 else ""
        cautions.append(f"INCOMPLETE: {done} of {wanted} folds{times} have a result.")
    done = len({(split, fold) for split, _, fold in setting.tests})
    if done == 1 or len(setting.rows) == 1:
        cautions.append("SINGLE FOLD: nothing here says how the score changes from fold to fold.")
    if len(setting.seeds) == 1 and done > 1:
        cautions.append(
            f"One seed ({setting.seeds[0]}): nothing here says how much chance in training matters."
        )
    if setting.few_subjects:
        cautions.append(
            f"Only {_count(setting.n_subjects, 'subject')}: an interval over so few people is "
            "rough."
        )
    if setting.interval is None:
        cautions.append("No interval: the rows hold no predictions of at least two subjects.")
    return cautions


def comparison_warnings(comparison: Comparison) -> list[str]:
    """Give the warnings of all settings, each once, with the settings that it is about."""
    about: dict[str, list[str]] = {}
    for setting in comparison.settings:
        for sentence in warnings(setting):
            about.setdefault(sentence, []).append(setting.name)
    return _name_settings(about, len(comparison.settings))


def leak_sentences(comparison: Comparison) -> list[str]:
    """Say what slipped from training into testing, with the settings that it is about."""
    about: dict[str, list[str]] = {}
    for setting in comparison.settings:
        for sentence in _leaks(setting):
            about.setdefault(sentence, []).append(setting.name)
    return _name_settings(about, len(comparison.settings))


def chosen(setting: Setting) -> str:
    """Name what the test clips chose."""
    if setting.leak.test_chose is None:
        return "epoch" if setting.optimistic else "not stated"
    return join(list(setting.leak.test_chose)) if setting.optimistic else "nothing"


def tally(setting: Setting) -> str:
    """Give the number of results, and of how many folds, repeats and seeds they are."""
    parts = [_count(len(setting.folds), "fold")]
    if len(setting.splits) > 1:
        parts.append(f"{len(setting.splits)} repeats")
    # as a rule each repeat has a seed of its own
    if len(setting.seeds) > 1 and len(setting.rounds) != len(setting.splits):
        parts.append(_count(len(setting.seeds), "seed"))
    return ", ".join(parts)


def whole(number: float | None) -> str:
    """Write a whole number; a dash where it is not known."""
    return "–" if number is None else f"{number:,.0f}"  # noqa: RUF001


def _name_settings(about: dict[str, list[str]], n_settings: int) -> list[str]:
    return [
        sentence if len(names) == n_settings else f"{_name_some(names, n_settings)}: {sentence}"
        for sentence, names in about.items()
    ]


def _name_some(names: Sequence[str], of: int) -> str:
    return join(names) if len(names) <= _MOST_NAMED else f"{len(names)} of {of} sets of results"


def _leaks(setting: Setting) -> list[str]:
    leak = setting.leak
    overlap, never, often = leak.subject_overlap, leak.never_tested, leak.multiply_tested
    if overlap is None or never is None or often is None:
        sentences = ["The rows do not say whether people are in training and test."]
    else:
        sentences = list(folds.explain(folds.LeakReport(overlap, never, often, alike=leak.alike)))
    if setting.optimistic:
        chose = join(list(leak.test_chose or ())) or "epoch"
        sentences.append(f"The test clips chose the {chose}.")
    elif leak.test_chose is None:
        sentences.append("The rows do not say whether the test clips chose anything.")
    else:
        sentences.append("The test clips chose nothing.")
    return sentences


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
