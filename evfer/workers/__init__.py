"""Executors: run tasks here, in processes, or on a Dask cluster.

One loop serves all three, so that a task's result, its error and its process's death mean the
same wherever it ran. Results do not depend on where or on how many: each task is a pure function
of its argument.
"""

from evfer.workers.cluster import cluster_threads, require_scheduler
from evfer.workers.executors import Callback, TaskExecutor, default_workers
from evfer.workers.running import open_executor, run
from evfer.workers.shared_folder import SharedFolder, share_folder
from evfer.workers.stale_parts import remove_stale_parts

__all__ = [
    "Callback",
    "SharedFolder",
    "TaskExecutor",
    "cluster_threads",
    "default_workers",
    "open_executor",
    "remove_stale_parts",
    "require_scheduler",
    "run",
    "share_folder",
]
