"""Loops shared out among threads, as many as PyTorch has been given.

For compiled loops and matrix products, which let go of the interpreter's lock. These threads are
Python's own: PyTorch's wait by spinning, and would keep the processors from loops that are not
its own.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

__all__ = ["share"]

_pools: dict[int, ThreadPoolExecutor] = {}
# a forked child has the pools, but not their threads
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)


def share(work: Callable[[int, int], object], n: int) -> None:
    """Call `work(first, stop)` for parts of `range(n)`, at once and in any order.

    Args:
        work: what it computes for an item does not depend on the part that the item is in.
        n: number of items.
    """
    threads = torch.get_num_threads()
    parts = min(threads, n)
    if parts <= 1:
        work(0, n)
        return
    if threads not in _pools:
        _pools[threads] = _start(threads)
    edges = [n * part // parts for part in range(parts + 1)]
    jobs = [_pools[threads].submit(work, *edge) for edge in itertools.pairwise(edges)]
    for job in jobs:
        job.result()


def _start(threads: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(threads, "evfer-models", initializer=_make_single)
    for job in [pool.submit(int) for _ in range(threads)]:
        job.result()
    # the number is one's own in a thread, but also the default of those that come after
    torch.set_num_threads(threads)
    return pool


def _make_single() -> None:
    """Let this thread's matrix products run in this thread alone, and record no gradients."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
