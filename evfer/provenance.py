"""Where a result comes from: versions of what took part, and the machine."""

from __future__ import annotations

import os
import platform
from importlib import metadata

__all__ = ["CONVERSION_PACKAGES", "LEARNING_PACKAGES", "__version__", "machine", "versions"]

__version__ = "0.1.0"

CONVERSION_PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "h5py",
    "opencv-python-headless",
    "pillow",
    "dlib-bin",
    "face_recognition_models",
)
"""Packages whose version can change a recording's events."""

LEARNING_PACKAGES = (
    "torch",
    "spikingjelly",
    "accelerate",
    "scikit-learn",
    # clips are shuffled, augmented, framed and read by these
    "numpy",
    "numba",
    "scipy",
    "opencv-python-headless",
    "h5py",
)
"""Packages whose version can change a result row."""


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Give the installed versions of evfer, Python and some packages; "missing" if absent."""
    found = {"evfer": _version("evfer"), "python": platform.python_version()}
    return found | {package: _version(package) for package in packages}


def machine() -> dict[str, str | int]:
    """Describe the machine without naming it or its user."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        if package == "evfer":
            return __version__
        return "missing"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
