"""Studies: a grid of networks, data sets and augmentations, and the effect of each augmentation.

    <out>/rows.jsonl     a row a fold, as `evfer bench` writes it
    <out>/study.json     everything below, for programs
    <out>/study.md       effects and cells, for people
    <out>/effects.csv    the regressions' coefficients
    <out>/cells.csv      mean scores of each set of augmentations

A study that was stopped goes on where it was: each fold that has a row is passed over.
"""

from __future__ import annotations

from evfer.study.effects import Effect, Fit, Observation, fit_mixed, fit_ols
from evfer.study.grid import Grid, Place, lay_out
from evfer.study.outcome import Cell, Nested, Outcome
from evfer.study.recipe import StudyConfig, StudyParams, load_study
from evfer.study.results import (
    Candidate,
    Summary,
    choose_in_folds,
    chosen_in_all,
    name_tied,
    summarise,
    write_summary,
)
from evfer.study.running import Pace, State, examine, parse_duration, run_study
from evfer.study.sentences import describe_choice, describe_fit, spell_probability

__all__ = [
    "Candidate",
    "Cell",
    "Effect",
    "Fit",
    "Grid",
    "Nested",
    "Observation",
    "Outcome",
    "Pace",
    "Place",
    "State",
    "StudyConfig",
    "StudyParams",
    "Summary",
    "choose_in_folds",
    "chosen_in_all",
    "describe_choice",
    "describe_fit",
    "examine",
    "fit_mixed",
    "fit_ols",
    "lay_out",
    "load_study",
    "name_tied",
    "parse_duration",
    "run_study",
    "spell_probability",
    "summarise",
    "write_summary",
]
