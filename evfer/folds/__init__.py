"""Fold protocols: who trains and who is tested, as data that can be read and checked.

A plan is built from the index alone; nothing here trains and nothing that trains splits.

    strict     subjects apart: each subject is tested in exactly one fold
    loso       one subject a fold
    kfold      one permutation of the clips cut into k parts (Spiking-FER, the paper's words)
    published  k independent random 80/20 hold-outs (Spiking-FER, the fold files): they overlap,
               and nearly every test subject is in training too
    imported   a fold file of the published format, taken as it is
"""

from evfer.folds.files import (
    export,
    read,
    read_published,
    renew,
    write,
)
from evfer.folds.foreign import Numbering, Reading, read_foreign, read_numbering
from evfer.folds.leaks import (
    FoldFacts,
    LeakReport,
    explain,
    explain_classes,
    fold_facts,
    leak,
    missing_classes,
    summary,
)
from evfer.folds.plan import FoldPlan, Split
from evfer.folds.protocols import ALIASES, PROTOCOLS, build, canonical_protocol

__all__ = [
    "ALIASES",
    "PROTOCOLS",
    "FoldFacts",
    "FoldPlan",
    "LeakReport",
    "Numbering",
    "Reading",
    "Split",
    "build",
    "canonical_protocol",
    "explain",
    "explain_classes",
    "export",
    "fold_facts",
    "leak",
    "missing_classes",
    "read",
    "read_foreign",
    "read_numbering",
    "read_published",
    "renew",
    "summary",
    "write",
]
