"""Run tasks here, in worker processes or on a Dask cluster, and live through what happens there.

All three are seen through `concurrent.futures.Executor`, and one loop serves them, so that a
task's result, its error and its process's death mean the same wherever it ran. Results do not
depend on where or on how many: each task is a pure function of its argument.
"""

from evfer.workers.crew import Crew, Line, default_workers
from evfer.workers.home import Home, leave_mark
from evfer.workers.leftovers import remove_stale_parts
from evfer.workers.running import cluster_threads, open_crew, require_scheduler, run, run_with_news

__all__ = [
    "Crew",
    "Home",
    "Line",
    "cluster_threads",
    "default_workers",
    "leave_mark",
    "open_crew",
    "remove_stale_parts",
    "require_scheduler",
    "run",
    "run_with_news",
]
