"""Temporary files and folders that processes have left behind."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

from evfer.files import host_tag

__all__ = ["remove_stale_parts"]

_STALE_S = 3600.0  # whether a process of another machine lives cannot be asked; none writes so long


def remove_stale_parts(folder: Path) -> None:
    """Remove temporary files and folders that dead processes have left under a folder.

    Those of other machines, as a cluster's workers leave them, go when they are an hour old.
    """
    for path in list(folder.rglob(".*.part*")):  # before any folder among them goes
        match = re.search(r"\.([0-9a-f]{8})-(\d+)\.part", path.name)
        if not match:
            continue
        own_machine = match[1] == host_tag()
        if not _alive(int(match[2])) if own_machine else _age_s(path) > _STALE_S:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():  # as a packed cache is, until it is whole
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _age_s(path: Path) -> float:
    try:
        inside = list(path.iterdir()) if path.is_dir() else []
        return time.time() - max(one.stat().st_mtime for one in (path, *inside))
    except FileNotFoundError:
        return 0.0


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return False  # an open file cannot be removed there, so trying does no harm
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # a process that ended and that nobody has asked after, as in containers without an init
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except OSError:
        return True
    return state.split()[0] != "Z"
