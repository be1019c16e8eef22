"""Temporary files that processes have left behind."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from evfer.files import host_tag

__all__ = ["remove_stale_parts"]

_STALE_S = 3600.0  # whether a process of another machine lives cannot be asked; none writes so long


def remove_stale_parts(folder: Path) -> None:
    """Remove temporary files that processes which no longer live have left under a folder.

    Those of other machines, as a cluster's workers leave them, go when they are an hour old.
    """
    for path in folder.rglob(".*.part*"):
        match = re.search(r"\.([0-9a-f]{8})-(\d+)\.part", path.name)
        if not match:
            continue
        mine = match[1] == host_tag()
        if not _alive(int(match[2])) if mine else _age_s(path) > _STALE_S:
            path.unlink(missing_ok=True)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
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
