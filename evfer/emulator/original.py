"""The original, v2e itself, behind the same three methods as evfer's own camera."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import logging
import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evfer.emulator.checks import Seed, as_array, check_frames, check_times, seed_sequence
from evfer.emulator.params import DVSParams
from evfer.errors import ConfigError, EventsError, MissingExtra
from evfer.events import RAW_DTYPE, Events, canonical_order

__all__ = ["INSTALL_LINE", "V2EEmulator", "load_original"]

INSTALL_LINE = 'pip install "v2e @ git+https://github.com/SensorsINI/v2e"'
"""What brings the original."""

_HIGHEST_SEED = 2**31 - 1


class V2EEmulator:
    """The installed v2e, watched frame by frame; the same events as `DVSEmulator`, slower.

    v2e draws from the process-wide generators of torch, numpy and Python. Each emulator lends it
    its own states for as long as a call takes and puts back what was there, so that nothing else
    in the process is disturbed, nor another emulator. It computes on the CPU with one thread: its
    many small operations wait for each other where cores are busy. What it prints and logs is
    not shown.

    Photoreceptor noise is the one thing that no seed fixes: v2e settles its strength with fresh
    generators, and keeps it for all emulators of the process while the frame rate stays; here
    each emulator keeps its own.

    Args:
        params: the pixel's settings; the benchmark's by default.
        seed: fixes all that v2e draws. With `pattern="v2e"` it is what `--dvs_emulator_seed`
            takes, else v2e's number is derived from it.

    Raises:
        MissingExtra: if v2e is not installed, or lacks a package that it needs.
        ConfigError: for a seed that cannot be used; with `pattern="v2e"` also 0, which v2e takes
            for no seed.

    Source:
        SensorsINI/v2e, `v2ecore/emulator.py`, called, not copied; deviates: events of one instant
        stand in row-major order, and `reset` works, which there fails.
    """

    def __init__(self, params: DVSParams | None = None, seed: Seed = 42) -> None:
        chosen = DVSParams() if params is None else params
        if not isinstance(chosen, DVSParams):
            raise ConfigError(
                f"params of type {type(params).__name__}", expected="evfer.emulator.DVSParams"
            )
        # v2e has not every setting; naming it makes the settings say so
        self.params = dataclasses.replace(chosen, backend="v2e")
        self._seed = _whole_seed(seed) if chosen.pattern == "v2e" else _derive_seed(seed)
        self.reset()

    def reset(self) -> None:
        """Forget the frames seen, so that another clip can follow; the seed stays."""
        make, self._noise = load_original()
        self._frames_seen = 0
        self._shape = (0, 0)
        self._last_frame_s = 0.0
        params = self.params
        self._globals = _Globals.read(self._noise)
        self._globals.noise_strength = (None, None)
        with self._lend_globals():
            self._original = make(
                pos_thres=params.pos_thres,
                neg_thres=params.neg_thres,
                sigma_thres=params.sigma_thres,
                cutoff_hz=params.cutoff_hz,
                leak_rate_hz=params.leak_rate_hz,
                refractory_period_s=params.refractory_period_s,
                shot_noise_rate_hz=params.shot_noise_rate_hz,
                photoreceptor_noise=params.photoreceptor_noise,
                leak_jitter_fraction=params.leak_jitter_fraction,
                noise_rate_cov_decades=params.noise_rate_cov_decades,
                seed=self._seed,
                device="cpu",
            )
        _forget_at_exit(self._original.cleanup)

    def step(self, frame: ArrayLike, t_s: float) -> Events:
        """Watch one frame; see `DVSEmulator.step`."""
        return self.run(as_array(frame)[np.newaxis], [t_s])

    def run(self, frames: ArrayLike, times_s: ArrayLike) -> Events:
        """Watch a block of frames; see `DVSEmulator.run`.

        Raises:
            EventsError: for frames or times that break the rules, naming the frame; the emulator
                is then as before the call. With photoreceptor noise also for two frames at one
                time, which v2e cannot divide by.
        """
        block = as_array(frames)
        check_frames(block, self._frames_seen, self._shape)
        times = check_times(times_s, len(block), self._frames_seen, self._last_frame_s)
        if self.params.photoreceptor_noise:
            self._check_intervals(times)
        pieces = [np.empty(0, RAW_DTYPE)]
        with self._lend_globals():
            for frame, time in zip(block, times.tolist(), strict=True):
                # whatever the type, v2e computes in float64
                made = self._original.generate_events(frame.astype(np.float64), time)
                if made is not None:
                    pieces.append(_to_raw(made))
        self._frames_seen += len(block)
        self._shape = (block.shape[1], block.shape[2])
        self._last_frame_s = float(times[-1])
        return np.concatenate(pieces)

    def _check_intervals(self, times: NDArray[np.float64]) -> None:
        # the first frame ever sees no noise; to v2e the one after it follows a frame at 0
        watched = times if self._frames_seen else times[1:]
        before = self._last_frame_s if self._frames_seen > 1 else 0.0
        still = np.flatnonzero(np.diff(watched, prepend=before) == 0)
        if still.size:
            frame = self._frames_seen + len(times) - len(watched) + int(still[0])
            raise EventsError(
                f"frame {frame} at the time of the one before",
                expected="time between frames, for v2e's photoreceptor noise",
            )

    @contextlib.contextmanager
    def _lend_globals(self) -> Iterator[None]:
        import torch

        logger = logging.getLogger("v2ecore")
        outer, level, n_threads = _Globals.read(self._noise), logger.level, torch.get_num_threads()
        logger.setLevel(logging.CRITICAL + 1)
        torch.set_num_threads(1)
        self._globals.write(self._noise)
        try:
            with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
                yield
        finally:
            self._globals = _Globals.read(self._noise)
            outer.write(self._noise)
            torch.set_num_threads(n_threads)
            logger.setLevel(level)


def load_original() -> tuple[Any, Any]:
    """Import v2e.

    Returns:
        Its emulator's class, and the function that keeps the strength of photoreceptor noise.

    Raises:
        MissingExtra: if it is not installed, or cannot be imported.
    """
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            emulator = importlib.import_module("v2ecore.emulator")
            utilities = importlib.import_module("v2ecore.emulator_utils")
        return emulator.EventEmulator, utilities.compute_photoreceptor_noise_voltage
    except ModuleNotFoundError as error:
        missing = str(error.name)
        whole = missing.partition(".")[0] == "v2ecore"
        found = "v2e is not installed" if whole else f"v2e is installed, but not its {missing}"
        raise _missing(found) from error
    except Exception as error:  # a broken package may raise anything
        raise _missing(f"v2e cannot be imported ({type(error).__name__}: {error})") from error


def _missing(found: str) -> MissingExtra:
    return MissingExtra(
        f'backend "v2e": {found}',
        expected="the original package",
        hint=f'{INSTALL_LINE}, or leave emulator.backend at "evfer", which makes the same events',
    )


@dataclasses.dataclass
class _Globals:
    """The process-wide state that v2e uses."""

    torch: Any
    numpy: Any
    python: Any
    noise_strength: tuple[float | None, float | None]

    @classmethod
    def read(cls, noise: Any) -> _Globals:
        import torch

        return cls(
            torch.get_rng_state(),
            np.random.get_state(),  # noqa: NPY002 - v2e's generator, to put it back
            random.getstate(),
            (noise.last_sample_rate, noise.last_vn),
        )

    def write(self, noise: Any) -> None:
        import torch

        torch.set_rng_state(self.torch)
        np.random.set_state(self.numpy)  # noqa: NPY002 - v2e's generator, to put it back
        random.setstate(self.python)
        noise.last_sample_rate, noise.last_vn = self.noise_strength


def _forget_at_exit(cleanup: Any) -> None:
    """Take back v2e's promise to clean up at exit, which would keep every emulator in memory."""
    import atexit

    atexit.unregister(cleanup)


def _to_raw(made: NDArray[np.float32]) -> Events:
    events: Events = np.empty(len(made), RAW_DTYPE)
    events["t"], events["x"], events["y"], events["p"] = made.T
    return events[canonical_order(events)]


def _derive_seed(seed: Seed) -> int:
    # v2e takes one number, and 0 for none
    drawn = seed_sequence(seed).generate_state(1, np.uint64)[0]
    return 1 + int(drawn) % _HIGHEST_SEED


def _whole_seed(seed: Any) -> int:
    number = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if number and 1 <= seed <= _HIGHEST_SEED:
        return int(seed)
    raise ConfigError(
        f'seed {seed!r} with pattern "v2e"',
        expected=f"a whole number from 1 to {_HIGHEST_SEED}",
        hint="v2e takes 0 for no seed and draws another pattern every time" if seed == 0 else "",
    )
