"""`evfer energy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from evfer.cli import _console as console

if TYPE_CHECKING:
    from evfer.energy import EnergyReport, LayerLine


@click.command()
@click.option("--model", required=True, help="Model, see evfer list, or module:factory.")
@click.option(
    "--dataset", help="Converted set whose test clips are run. [default: none, or the run's]"
)
@console.data_option
@click.option("--run", type=click.Path(path_type=Path), help="Results folder with trained weights.")
@click.option(
    "--weights", type=click.Path(path_type=Path), help="One file of trained weights instead."
)
@click.option(
    "--fold", type=click.IntRange(0), help="Whose weights and test clips. [default: the first]"
)
@click.option("--recipe", help="Bench recipe. [default: the run's, else the set's card's]")
@click.option("--limit", type=click.IntRange(1), help="Run on so many test clips at most.")
@click.option(
    "--twin",
    help="Model without spikes to compare with, or none. [default: resnet18 for spiking-fer]",
)
@console.seed_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, each layer's steps included.")
@click.option("--out", type=click.Path(path_type=Path), help="Write JSON and CSV to this folder.")
@console.set_option("frames.size=200, or energy.memory=per_use")
def command(
    model: str,
    dataset: str | None,
    data: str,
    run: Path | None,
    weights: Path | None,
    fold: int | None,
    recipe: str | None,
    limit: int | None,
    twin: str | None,
    seed: int,
    as_json: bool,
    out: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Count a model's operations and price them.

    It is run on a set's test clips, and what really flows is counted, layer by layer and step by
    step. Without a set there are dense operations alone. Three accountings stand side by side:
    full, paper and legacy. Keys for --set are those of the recipe and energy.integers,
    energy.precision, energy.fold_norm and energy.memory.
    """
    from evfer import config
    from evfer.bench.meter import meter
    from evfer.energy import write_report

    with console.Progress() as progress:
        started = False

        def tell(done: int, total: int) -> None:
            nonlocal started
            if not started:
                progress.start(f"{model} at work", total)
                started = True
            progress.step(done, total)

        report = meter(
            model,
            Path(data),
            dataset=dataset,
            run=run,
            weights=weights,
            fold=fold,
            recipe=recipe,
            limit=limit,
            twin=twin,
            seed=seed,
            overrides=config.parse_overrides(assignments),
            progress=tell,
        )
    if as_json:
        console.print_json(report.to_dict())
    else:
        _print(report)
    for remark in report.remarks:
        console.warn(remark)
    if out is not None:
        for path in write_report(report, out):
            console.warn(f"written: {path}")


def _print(report: EnergyReport) -> None:
    counts, pricing = report.counts, report.full.pricing
    steps = f"{counts.n_steps} step{'' if counts.n_steps == 1 else 's'}"
    frame = f"{counts.frame[2]} x {counts.frame[1]} pixels"
    if report.ran:
        clips = f"{counts.n_clips} test clip{'' if counts.n_clips == 1 else 's'}"
        console.echo(
            f"{report.model}: {clips} of {report.dataset}, {steps} of {frame}; "
            f"weights {report.weights}"
        )
        if report.twin:
            console.echo(f"compared with {report.twin}: weights {report.twin_weights}")
    else:
        console.echo(f"{report.model}: dense operations of {steps} of {frame}; no clip was run")
    console.echo()
    if report.ran:
        _print_stages(report)
    else:
        console.print_table(
            ("layer", "shape", "steps", "dense M"),
            [
                (line.name, line.about, line.n_steps, _mega(line.dense_macs))
                for line in report.stages()
            ],
        )
        console.echo(
            f"Dense: {_mega(counts.dense)} M products a clip. Spikes and zeros are unknown until "
            "the network runs; name a --dataset or a --run."
        )
        console.echo()
    _print_accountings(report)
    for sentence in report.explain():
        console.echo(sentence)
    console.echo(
        f"Millijoules a clip, 45 nm; full in {pricing.precision}, norms "
        f"{'folded' if pricing.fold_norm else 'not folded'}; the others in fp32, products alone."
    )


def _print_stages(report: EnergyReport) -> None:
    memory = report.full.pricing.memory != "none"
    integers = report.full.pricing.integers
    head = ["layer and what follows", "shape", "steps", "fed", "not zero", "dense M", "needed M"]
    head += ["MAC M", "AC M", f"uJ {integers}", "uJ mac", "spikes/step", "spikes/clip"]

    def cells(line: LayerLine) -> list[object]:
        found: list[object] = [line.name, line.about, line.n_steps, line.values, line.nonzero]
        found += [_mega(value) for value in (line.dense_macs, line.pairs, line.macs, line.acs)]
        found += [_micro(line.energy_nj), _micro(line.energy_mac_nj)]
        found += [line.rate_per_step, line.rate_total]
        return [*found, _micro(line.memory_nj)] if memory else found

    counts, cost = report.counts, report.full.total
    total: list[object] = ["together", "", "", "", None, _mega(counts.dense), _mega(counts.pairs)]
    total += [_mega(cost.macs), _mega(cost.acs), _micro(cost.energy_pj / 1e3)]
    total += [_micro(report.full_mac.total.energy_pj / 1e3)]
    total += [counts.mean_rate(), counts.mean_rate("total")]
    if memory:
        head.append("uJ memory")
        total.append(_micro(cost.memory_pj / 1e3))
    console.print_table(head, [*map(cells, report.stages()), total])
    console.echo("spikes/step and spikes/clip are those of one neuron, on average.")
    console.echo()


def _print_accountings(report: EnergyReport) -> None:
    paper, legacy, base = report.paper, report.legacy, report.baselines
    dense = f"dense {'ANN: ' + report.twin if report.twin else 'ANN'}"
    rows: list[tuple[object, ...]] = [
        (f"full, whole numbers as {report.full.pricing.integers}", report.full_mj, None),
        ("full, whole numbers as mac", report.full_mac_mj, None),
        ("paper", paper.snn_mj, paper.ann_mj),
        ("legacy", legacy and legacy.snn_mj, legacy and legacy.ann_mj),
        (dense, None, base.dense_ann_mj),
        ("  only inputs that are not zero", None, base.sparse_ann_mj),
        ("  dense, in int8", None, base.int8_ann_mj),
    ]
    if report.memory_mj is not None:
        reading = f"reading weights, {report.full.pricing.memory}"
        rows.insert(2, (reading, report.memory_mj, None))
    console.print_table(
        ("accounting", f"{report.model} mJ", "without spikes mJ"),
        [(name, _milli(here), _milli(ann)) for name, here, ann in rows],
    )
    console.echo()


def _mega(value: float | None) -> str | None:
    return None if value is None else f"{value / 1e6:,.3f}"


def _micro(nanojoules: float | None) -> str | None:
    return None if nanojoules is None else f"{nanojoules / 1e3:,.2f}"


def _milli(value: object) -> str | None:
    if not isinstance(value, int | float):
        return None
    # small networks need their leading digits, large ones their thousands
    return f"{value:,.4f}" if value >= 0.1 or not value else f"{value:.4g}"
