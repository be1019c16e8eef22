"""The command line: one module a command; each parses, calls one function and prints.

The modules import the library inside their functions, so that `evfer --help` stays fast.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence

import rich_click as click
from click.exceptions import Exit

from evfer import plugins
from evfer.errors import EvferError
from evfer.provenance import __version__

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS = {
    "Start here": ("demo", "list", "doctor"),
    "Make events": ("check", "convert", "verify", "info", "view", "export"),
    "Measure networks": ("folds", "bench", "study", "energy", "report"),
}
"""Every command, in the order of a user's work; each is a module of this package."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a bug, 2 usage, 3 data, 4 something to install, 130 Ctrl-C.",
)
@click.version_option(__version__, prog_name="evfer")
@click.option("--debug", is_flag=True, help="Show where an error was raised.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Turn facial-expression video into event-camera benchmarks, and measure networks on them."""
    context.obj = {"debug": debug}


for _name in (name for names in COMMANDS.values() for name in names):
    cli.add_command(importlib.import_module(f"evfer.cli.{_name}").command, name=_name)
click.rich_click.COMMAND_GROUPS = {
    "evfer": [{"name": panel, "commands": [*names]} for panel, names in COMMANDS.items()]
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code.

    Args:
        arguments: what follows the program's name; by default the process's own.
    """
    # recipes and models may be named module:attribute from the folder the user stands in
    sys.path.insert(0, os.getcwd())
    # not list(): that name is the command's module here
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may be no text
            stream.reconfigure(errors="backslashreplace")
    try:
        with plugins.blaming_outsiders():
            code = cli.main(given, prog_name="evfer", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("Stopped. What is finished is kept; the same command goes on from there.")
        return INTERRUPTED
    except EvferError as error:
        if "--debug" in given:
            traceback.print_exc()
        _say(f"evfer: {error}")
        return error.exit_code
    except BrokenPipeError:
        # the reader of a pipe, such as head, has gone; Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:  # noqa: BLE001 - the last place that can tell the user
        traceback.print_exc()
        _say("evfer: this is a bug in evfer; please report it with the lines above.")
        return 1


def _say(message: str) -> None:
    click.echo(message, err=True)
