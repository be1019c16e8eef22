"""`evfer verify`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from evfer.cli import _console as console


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="Another lab's fingerprint.txt; a conversion.toml beside it tells why clips differ.",
)
def command(folder: Path, against: Path | None) -> int:
    """Recompute every digest of a converted set; compare with another lab's.

    FOLDER is a set's folder, <data>/FerDVS/<Set>. Exit code 3 if anything is damaged or differs.
    """
    from evfer.recordings.verify import verify_set

    with console.Progress() as progress:

        def show(done: int, total: int) -> None:
            if done == 1:
                progress.start("verify", total)
            progress.step(done, total)

        found = verify_set(folder, against, on_progress=show)
    for clip, reason in found.damaged:
        console.echo(f"damaged {clip}: {reason}", "red")
    for clip, reason in found.unreadable:
        console.echo(f"cannot be read {clip}: {reason}", "red")
    for text, clips in (
        ("differs", found.differing),
        ("only here", found.only_here),
        ("missing here", found.only_there),
    ):
        for clip in clips:
            console.echo(f"{text}: {clip}", "red")
    for reason in found.reasons:
        console.echo(reason, "yellow")
    for path in found.unlisted:
        console.warn(f"not in index.csv, and not checked: {path}")
    if found.n_empty:
        console.warn(f"without an event: {found.n_empty} of {found.n_clips} recordings")
    console.echo(f"fingerprint {found.fingerprint}")
    if against and found.ok:
        console.echo(f"the same {found.n_clips} clips as {against}", "green")
    elif found.ok:
        console.echo(f"{found.n_clips} clips, all whole", "green")
    return 0 if found.ok else 3
