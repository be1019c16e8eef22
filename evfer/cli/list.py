"""`evfer list`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import rich_click as click

from evfer.cli import _console as console


@click.command()
@console.data_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(data: str, as_json: bool) -> None:
    """Data sets, recipes, protocols, augmentations, models, and which are usable here."""
    from evfer.catalog import catalog

    sections = catalog(Path(data))
    if as_json:
        console.print_json([dataclasses.asdict(section) for section in sections])
        return
    for section in sections:
        rows = [(item.name, item.about, item.state) for item in section.items]
        console.print_table(("name", "about", "state"), rows, f"{section.title}  {section.option}")
        console.echo()
