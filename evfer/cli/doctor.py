"""`evfer doctor`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import rich_click as click

from evfer.cli import _console as console


@click.command()
@console.data_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(data: str, as_json: bool) -> int:
    """Check this installation, and say what is missing and how to install it.

    Exit code 4 if something that evfer needs is missing.
    """
    from evfer.doctor import examine

    findings = examine(Path(data))
    if as_json:
        console.print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        rows = [(f.name, f.state, f.detail, f.remedy) for f in findings]
        console.print_table(("part", "state", "detail", "remedy"), rows)
    return 4 if any(finding.state == "broken" for finding in findings) else 0
