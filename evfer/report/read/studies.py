"""Sets of augmentations compared: the published study's figures 4, 5 and 6 on our rows.

Settings of one network that differ in nothing but their augmentations are the variants of a study,
wherever their rows come from. `evfer.study` gives the regressions and the words.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evfer import metrics
from evfer.errors import EvferError
from evfer.report.read.comparison import Comparison
from evfer.report.read.results import Results
from evfer.report.read.setting import Setting
from evfer.transforms import COMMON, parse_names

if TYPE_CHECKING:
    from evfer.study import Candidate, Cell, Fit

__all__ = ["AugmentationStudy", "Step", "Variant", "find_studies", "holds_only_studies"]

_BESIDE = ("augment", "name", "about", "citations")
"""Parts of a recipe in which variants of a study may differ."""

Augmentations = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Variant:
    """One set of augmentations.

    Args:
        label: its augmentations joined with plus signs, or "none".
        names: the augmentations in it.
        factors: the same with settings where those differ, as effects are named.
        setting: its results.
        validation: mean accuracy for the people who chose the epoch; None where there were none.
    """

    label: str
    names: frozenset[str]
    factors: frozenset[str]
    setting: Setting
    validation: float | None

    @property
    def mean(self) -> float:
        """Mean accuracy over the results."""
        assert self.setting.accuracy is not None  # settings without a score are no variants
        return self.setting.accuracy.mean


@dataclass(frozen=True)
class Step:
    """One step of the comparison A, B, C: more augmentations each time.

    Args:
        letter: A for common augmentations, B with eventdrop, C with mirror too.
        variant: the set of augmentations.
    """

    letter: str
    variant: Variant


@dataclass(frozen=True)
class AugmentationStudy:
    """A network under several sets of augmentations, on the same clips and folds.

    Args:
        model: the network.
        comparison: where it was tested.
        digest: first digits of the digest of all that its variants share; other studies of the
            network differ in it.
        variants: the best first.
        subsets: how many of the 32 subsets of the common augmentations have results.
        factors: the augmentations whose effects are estimated.
        ols: the published regression.
        mixed: the one with splits as random effects.
        steps: A, B and C, as far as there are rows of them; fewer than two say nothing.
        sentences: what the study says.
        ols_words: what the first regression rests on.
        mixed_words: what the second rests on.
    """

    model: str
    comparison: Comparison
    digest: str
    variants: tuple[Variant, ...]
    subsets: int
    factors: tuple[str, ...]
    ols: Fit
    mixed: Fit
    steps: tuple[Step, ...]
    sentences: tuple[str, ...]
    ols_words: tuple[str, ...]
    mixed_words: tuple[str, ...]

    @property
    def names(self) -> set[str]:
        """Names of the settings that are variants."""
        return {variant.setting.name for variant in self.variants}

    @property
    def level(self) -> bool:
        """Whether all sets score alike."""
        return len({metrics.tie_key(variant.mean) for variant in self.variants}) == 1


def find_studies(
    comparisons: Sequence[Comparison], results: Results
) -> tuple[AugmentationStudy, ...]:
    """Find networks that were trained with two sets of augmentations or more."""
    found = []
    first_rows = {id(row): i for i, row in reversed(list(enumerate(results.rows)))}
    for comparison in comparisons:
        parts: dict[tuple[Any, ...], dict[str, tuple[Setting, Augmentations]]] = defaultdict(dict)
        for setting in comparison.settings:
            known = _augmentations(setting, results) if setting.accuracy else None
            if known is None:
                continue
            augmentations, rest = known
            row = setting.first
            key = (setting.model, row.selected_on, row.epochs, row.classes, rest)
            same = json.dumps(augmentations, sort_keys=True, default=str)
            parts[key].setdefault(same, (setting, augmentations))
        for key, variants in parts.items():
            if len(variants) > 1:
                # in the grid's order: settings stand in that of their test scores
                laid = sorted(
                    variants.values(), key=lambda pair: _place(pair[0], results, first_rows)
                )
                digest = hashlib.sha256(repr(key).encode("utf-8", "surrogatepass")).hexdigest()
                found.append(_study(str(key[0]), comparison, digest[:8], laid))
    return tuple(found)


def _place(
    setting: Setting, results: Results, first_rows: Mapping[int, int]
) -> tuple[str, int, int]:
    """Give where a set stands in its grid: as its run keeps recipes, else as rows were written."""
    row = setting.first
    run = results.runs.get(row.run)
    digests = [bench.recipe_sha256 for bench in run.benches] if run else []
    known = row.recipe_sha256 and row.recipe_sha256 in digests
    place = digests.index(row.recipe_sha256) if known else len(digests)
    return row.run, place, min(first_rows.get(id(row), 0) for row in setting.rows)


def holds_only_studies(comparison: Comparison, studies: Sequence[AugmentationStudy]) -> bool:
    """Whether all settings of a comparison are variants of its studies."""
    own = [study.names for study in studies if study.comparison is comparison]
    return bool(own) and {setting.name for setting in comparison.settings} <= set().union(*own)


def _augmentations(setting: Setting, results: Results) -> tuple[Augmentations, str] | None:
    """Give a setting's augmentations, and the rest of its recipe as text."""
    run = results.runs.get(setting.first.run)
    recipe = run.recipe(setting.first) if run else {}
    tables = recipe.get("augment")
    if isinstance(tables, list) and all(_is_table(table) for table in tables):
        rest = {name: value for name, value in recipe.items() if name not in _BESIDE}
        return tuple(tables), json.dumps(rest, sort_keys=True, default=str)
    return _from_name(setting.first.recipe)


def _is_table(table: Any) -> bool:
    return isinstance(table, Mapping) and isinstance(table.get("name"), str)


def _from_name(recipe: str) -> tuple[Augmentations, str] | None:
    """Read augmentations from a recipe's name, which studies end with them."""
    base, _, last = recipe.rpartition(" ")
    if not base or not last:
        return None
    try:
        return parse_names(last), base
    except EvferError:
        return None


def _study(
    model: str, comparison: Comparison, digest: str, pairs: Sequence[tuple[Setting, Augmentations]]
) -> AugmentationStudy:
    # on use: it takes seconds, and most reports hold no study
    from evfer.study import (
        Observation,
        Outcome,
        choose_in_folds,
        chosen_in_all,
        describe_choice,
        describe_fit,
        fit_mixed,
        fit_ols,
        name_tied,
    )

    spell = _spell_factors([tables for _, tables in pairs])
    laid = [_variant(setting, tables, spell) for setting, tables in pairs]
    variants = sorted(laid, key=lambda variant: (-metrics.tie_key(variant.mean), variant.label))
    factors = tuple(dict.fromkeys(spell.values()))
    observations = [
        # repeats have folds of their own
        Observation(row.accuracy, variant.factors, f"{row.folds_sha256} fold {row.fold}")
        for variant in variants
        for row in variant.setting.rows
        if row.accuracy is not None
    ]
    ols, mixed = fit_ols(observations, factors), fit_mixed(observations, factors)
    # variants with fewer folds than others were tested on other people
    whole = len({v.setting.tests for v in variants}) == 1
    chosen = nested = None
    if whole and all(variant.validation is not None for variant in variants):
        # of equals the first of the grid: sorted by the test, the test clips would break the tie
        chosen = _cell(max(laid, key=lambda variant: metrics.tie_key(variant.validation or 0.0)))
        nested = choose_in_folds(_candidates(laid))
    cells = tuple(_cell(variant) for variant in variants)
    highest = cells[0] if whole else None
    outcome = Outcome(
        comparison.set_name,
        model,
        cells,
        ols,
        mixed,
        chosen,
        highest,
        chosen_in_all([v.setting.leak.test_chose or () for v in variants]),
        nested,
        name_tied([_cell(variant) for variant in laid], "validation", chosen),
        name_tied(cells, "mean", highest),
    )
    return AugmentationStudy(
        model,
        comparison,
        digest,
        tuple(variants),
        len({v.names for v in variants if v.names <= set(COMMON)}),
        factors,
        ols,
        mixed,
        _find_steps(variants),
        tuple(describe_choice(outcome, "accuracy")),
        tuple(describe_fit(ols)),
        tuple(describe_fit(mixed)),
    )


def _cell(variant: Variant) -> Cell:
    from evfer.study import Cell

    setting, n = variant.setting, len(variant.setting.rows)
    std = setting.accuracy.std if setting.accuracy else None
    return Cell(variant.label, n, n, variant.mean, std, variant.validation, setting.collapsed)


def _candidates(variants: Sequence[Variant]) -> list[list[Candidate]]:
    """Give every set's validation and score in each fold and seed, sets in the grid's order."""
    folds: dict[Any, list[Candidate]] = defaultdict(list)
    for variant in variants:
        for row in variant.setting.rows:
            if row.accuracy is not None:
                place = (row.folds_sha256, row.seed, row.fold)
                folds[place].append((variant.label, row.validation_accuracy, row.accuracy))
    return list(folds.values())


def _spell_factors(tables: Sequence[Augmentations]) -> dict[str, str]:
    """Name each augmentation, by its table as text: with settings only where they differ."""
    all_tables = {_key(table): table for setting in tables for table in setting}
    names = [table["name"] for table in all_tables.values()]
    order = {name: place for place, name in enumerate(COMMON)}
    found = {}
    for key, table in sorted(
        all_tables.items(),
        key=lambda item: (order.get(item[1]["name"], len(order)), item[1]["name"], item[0]),
    ):
        name = table["name"]
        settings = ",".join(f"{k}={v}" for k, v in table.items() if k != "name")
        alone = names.count(name) == 1
        found[key] = name if alone or not settings else f"{name}({settings})"
    return found


def _key(table: Mapping[str, Any]) -> str:
    return json.dumps(table, sort_keys=True, default=str)


def _variant(setting: Setting, tables: Augmentations, spell: Mapping[str, str]) -> Variant:
    mine = {_key(table) for table in tables}
    factors = [name for key, name in spell.items() if key in mine]
    return Variant(
        "+".join(factors) or "none",
        frozenset(table["name"] for table in tables),
        frozenset(factors),
        setting,
        _validation(setting),
    )


def _validation(setting: Setting) -> float | None:
    values = [row.validation_accuracy for row in setting.rows]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


_ADDED = (
    ("B", ({"eventdrop"},)),
    ("C", ({"eventdrop", "mirror"}, {"eventdrop", "mirror_events"})),
)


def _find_steps(variants: Sequence[Variant]) -> tuple[Step, ...]:
    """Find A, B and C: a set of common augmentations, and what comes on top of it.

    A is the best such set that has a B or a C; of sets alike the one with most steps.
    """
    by_names: dict[frozenset[str], Variant] = {}
    for variant in variants:
        by_names.setdefault(variant.names, variant)
    best: tuple[Step, ...] = ()
    for names, base in by_names.items():
        if not names <= set(COMMON):
            continue
        steps = [Step("A", base)]
        for letter, choices in _ADDED:
            wanted = [by_names.get(names | choice) for choice in choices]
            steps += [Step(letter, variant) for variant in wanted if variant][:1]
        if len(steps) > max(1, len(best)):
            best = tuple(steps)
    return best
