"""The contract of an augmentation, as a check that authors of plug-ins can run."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from evfer import transforms
from evfer.errors import EventsError
from evfer.events import EVENT_DTYPE, Events, SensorSize, validate
from evfer.region import Region
from evfer.transforms.base import Transform

__all__ = ["check_augmentation"]

_SENSOR = SensorSize(40, 30)
_SEEDS = range(8)


def check_augmentation(name: str, **settings: Any) -> Transform:
    """Check that an augmentation keeps the contract of `evfer.transforms.base`.

    Args:
        name: an augmentation's name, or `module:class`.
        settings: its own.

    Returns:
        The augmentation, for further checks of one's own.

    Raises:
        AssertionError: if it breaks the contract; the message says how.
        EvferError: if it cannot be built.
    """
    (step,) = transforms.build([{"name": name, **settings}]).steps
    _check_description(step)
    checks: Mapping[str, Callable[[Any], None]] = {
        "events": _check_events,
        "region": _check_region,
        "frames": _check_frames,
    }
    checks[step.stage](step)
    return step


def _require(holds: object, complaint: str) -> None:
    # no assert statement, which python -O leaves out
    if not holds:
        raise AssertionError(complaint)


def _check_description(step: Transform) -> None:
    # results are named by the settings: one that can change later names nothing
    frozen = getattr(type(step), "__dataclass_params__").frozen  # noqa: B009
    _require(frozen, "not a frozen dataclass")
    fields = {field.name for field in dataclasses.fields(step)}  # type: ignore[arg-type]
    hidden = sorted(set(getattr(step, "__dict__", ())) - fields)
    _require(not hidden, f"{', '.join(hidden)}: kept, but no field, so that recipes do not say it")
    again = transforms.build(transforms.describe(transforms.Augmentation((step,)))).steps
    _require(again == (step,), "its description as a table of a recipe builds another one")
    try:
        copy = pickle.loads(pickle.dumps(step))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(f"cannot be pickled, as worker processes need it: {error}") from error
    _require(copy == step, "a pickled copy is another one")


def _draw(act: Callable[[np.random.Generator], Any], same: Callable[[Any, Any], bool]) -> list[Any]:
    """Act with several seeds, twice each; no chance but the generator's is allowed."""
    results = []
    for seed in _SEEDS:
        np.random.seed(0)  # noqa: NPY002 - a use of it shows when it differs
        first = act(np.random.default_rng(seed))
        np.random.seed(1)  # noqa: NPY002
        second = act(np.random.default_rng(seed))
        _require(same(first, second), "one generator, another result: it has a chance of its own")
        results.append(first)
    return results


def _make_events(n: int) -> Events:
    rng = np.random.default_rng(0)
    events = np.zeros(n, EVENT_DTYPE)
    events["x"], events["y"] = rng.integers(_SENSOR.width, size=n), rng.integers(30, size=n)
    events["p"], events["t"] = rng.integers(2, size=n), np.sort(rng.integers(90_000, size=n))
    return events


def _check_events(step: Any) -> None:
    for n in (2000, 1, 0):
        events = _make_events(n)
        before = events.copy()
        for result in _draw(lambda rng, e=events: step(e, _SENSOR, rng), np.array_equal):  # type: ignore[misc]
            _require(np.array_equal(events, before), f"{n} events: it changes its input")
            _require(isinstance(result, np.ndarray), f"{n} events: it gives {type(result)}")
            _require(result.dtype == EVENT_DTYPE, f"{n} events: it gives {result.dtype}")
            try:
                validate(result, _SENSOR)
            except EventsError as error:
                raise AssertionError(f"{n} events: {error}") from error


def _check_region(step: Any) -> None:
    region = Region(0, 0, _SENSOR.width, _SENSOR.height)
    for result in _draw(lambda rng: step(region, rng), lambda a, b: bool(a == b)):
        _require(isinstance(result, Region), f"it gives {type(result).__name__}, not a Region")


def _check_frames(step: Any) -> None:
    counts = np.random.default_rng(0).integers(3, size=(4, 2, 30, 40))
    for dtype in (np.uint8, np.float32):
        for frames in (counts.astype(dtype), np.zeros_like(counts, dtype)):
            before = frames.copy()
            for result in _draw(lambda rng, f=frames: step(f, rng), np.array_equal):  # type: ignore[misc]
                _require(np.array_equal(frames, before), "it changes its input")
                wanted = f"{frames.shape} of {frames.dtype}"
                fits = result.shape == frames.shape and result.dtype == frames.dtype
                _require(fits, f"frames {result.shape} of {result.dtype}, not {wanted}")
                _require(np.isfinite(result).all(), "frames that are not finite")
