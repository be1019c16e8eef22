"""For authors of plug-ins and for tests: contract checks, and miniature copies of data sets.

    from evfer.testing import check_dataset, make_tree
    source = make_tree("ck+", folder, variant="nested-zips")   # rendered faces, real file names
    check_dataset(MyReader(), source)
    check_model("my_module:build")
    check_augmentation("my_module:Blink", share=0.2)

Nothing in evfer imports this package. It needs no test tool.
"""

from __future__ import annotations

from evfer.testing.augmentations import check_augmentation
from evfer.testing.contract import check_dataset
from evfer.testing.models import check_model
from evfer.testing.trees import faults, make_tree, tree_names, variants

__all__ = [
    "check_augmentation",
    "check_dataset",
    "check_model",
    "faults",
    "make_tree",
    "tree_names",
    "variants",
]
