"""What keeps training from going on, said in words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from evfer.errors import ConfigError

__all__ = ["explain_faults", "not_finite"]

_FULL = ("can't allocate memory", "out of memory", "not enough memory")
_ADVICE = "Lower train.batch_size, frames.size or frames.n_steps, choose train.precision=bf16"


def not_finite(what: str) -> ConfigError:
    """Say that a number is no longer finite.

    Args:
        what: which, and where.
    """
    return ConfigError(
        what,
        expected="a finite number",
        hint='Lower train.lr, set train.clip_norm = 1.0, or train.precision = "no"',
    )


@contextlib.contextmanager
def explain_faults(batch_size: int) -> Iterator[None]:
    """Turn what PyTorch raises where a machine is too small into advice.

    Raises:
        ConfigError: if memory ran out, or a network could not be compiled.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"the GPU ran out of memory with {batch_size} clips a batch",
            expected="a batch that fits",
            hint=f"{_ADVICE}, or fewer --workers a GPU; what is finished is kept",
        ) from error
    except MemoryError as error:
        raise _no_memory(batch_size) from error
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            "batch normalisation cannot learn from one clip whose maps shrink to one cell",
            expected="two or more training clips, or larger frames",
            hint="Convert more clips, or raise frames.size",
        ) from error
    except RuntimeError as error:
        text = str(error).lower()
        if any(words in text for words in _FULL):
            raise _no_memory(batch_size) from error
        if type(error).__module__.startswith("torch._"):  # dynamo and inductor have their own
            raise ConfigError(
                f"the network cannot be compiled here ({_first_line(error)})",
                expected="a C++ compiler and a network that torch.compile can trace",
                hint="Set train.compile=false",
            ) from error
        raise


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def _no_memory(batch_size: int) -> ConfigError:
    return ConfigError(
        f"memory ran out with {batch_size} clips a batch",
        expected="a batch that fits",
        hint=f"{_ADVICE}, or fewer --workers; what is finished is kept",
    )
