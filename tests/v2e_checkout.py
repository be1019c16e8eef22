"""Makes a checkout of v2e importable, for the tests and timings that compare with it.

Its emulator imports packages for windows, dialogues and other cameras' files, which it never uses
here; where they are not installed, empty ones stand in for them.
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

UNUSED = {
    "screeninfo": {"get_monitors": list},
    "easygui": {},
    "tkinter.filedialog": {},
    "tkinter": {"filedialog": None},
    "engineering_notation": {"EngNumber": float},
    "dv_processing": {},
}


def add_to_path(checkout: Path) -> None:
    """Make `import v2ecore` find a checkout, in this process only."""
    sys.path.insert(0, str(checkout))
    for name, members in UNUSED.items():
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = types.ModuleType(name)
            vars(sys.modules[name]).update(members)
