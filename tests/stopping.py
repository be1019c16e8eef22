"""Stop commands as a user does: Ctrl-C once there is something to lose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent


def stop(arguments: Sequence[str], rows: Path, least: int) -> tuple[int, str, str]:
    """Run `evfer` until some rows are there, press Ctrl-C, and give exit code, output, errors."""
    process = subprocess.Popen(
        [sys.executable, "-m", "evfer", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not rows.exists() or len(rows.read_text().splitlines()) < least:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return process.returncode, " ".join(out.split()), " ".join(err.split())
