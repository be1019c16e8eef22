"""What several tests share: generators and small recordings, all made here."""

from __future__ import annotations

import contextlib
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
import torch
from hypothesis import HealthCheck, settings

from evfer.events import EVENT_DTYPE

# the same examples on every machine and day, and none refused because the machine is busy; all
# examples of a test may share its folder
settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "explore", settings.get_profile("same"), derandomize=False, max_examples=2500, print_blob=True
)
settings.load_profile("same")  # before tests are read, and before --hypothesis-profile


def pytest_configure(config):
    if config.getoption("--hypothesis-profile") != "explore":
        # it tries numbers that modules name, so examples would hang on what was imported before
        with contextlib.suppress(ImportError, AttributeError):
            from hypothesis.internal.conjecture import providers

            none = providers._local_constants
            providers._get_local_constants = lambda: none


@pytest.fixture(autouse=True)
def _same_dice():
    """What torch draws in a test hangs on no test before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def one_thread():
    """Let torch keep to one thread, where a file's tests are small and many."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
