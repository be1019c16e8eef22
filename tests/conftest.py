"""What several tests share: generators and small recordings, all made here."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

if threading.current_thread() is threading.main_thread():
    # a shell's background jobs ignore Ctrl-C, and would leave that to the processes tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core, so a thread a process
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np
import pytest

from evfer.events import EVENT_DTYPE


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def make_events():
    def make(n, *, width=200, height=200, duration_us=1_000_000, seed=0):
        rng = np.random.default_rng(seed)
        events = np.zeros(n, EVENT_DTYPE)
        events["t"] = np.sort(rng.integers(0, duration_us, n))
        events["x"] = rng.integers(0, width, n)
        events["y"] = rng.integers(0, height, n)
        events["p"] = rng.random(n) < 0.5
        return events

    return make


@pytest.fixture
def golden():
    """Folder of the events that the real v2e made."""
    return Path(__file__).parent / "golden" / "v2e"
