"""Measure a network on every fold of converted sets; one row a fold, the moment it ends.

    <out>/rows.jsonl     the rows, one JSON object a line
    <out>/run.toml       every setting, the versions and the command
    <out>/checkpoints/   states of unfinished folds, trained networks of finished ones
    <out>/tensorboard/   curves

A second run does what is missing: folds with a row are passed over, a fold that was cut off goes
on from its checkpoint.

    measurements = prepare(Path("data"), "spiking-fer", datasets=["demo"])
    rows = run(make_jobs(measurements, Path("results/spiking-fer"), RunOptions(workers=2)))
"""

from evfer.bench.fold import FoldJob, RunOptions
from evfer.bench.prepare import Measurement, make_jobs, prepare, prepare_set
from evfer.bench.rows import ResultRow, row_key
from evfer.bench.run import BenchEvent, run
from evfer.bench.trained import Trained, load
from evfer.training.recipe import BenchConfig, load_config

__all__ = [
    "BenchConfig",
    "BenchEvent",
    "FoldJob",
    "Measurement",
    "ResultRow",
    "RunOptions",
    "Trained",
    "load",
    "load_config",
    "make_jobs",
    "prepare",
    "prepare_set",
    "row_key",
    "run",
]
