"""Where networks looked: rates counted by hand, maps only from weights that are kept."""

import numpy as np
import pytest
import torch
from report_rows import CLASSES, Page, make_rows, write_run, write_set
from safetensors.torch import load_file, safe_open, save_file
from torch import nn

from evfer import models, recordings, report
from evfer.bench import row_key
from evfer.bench.trained import SUFFIX, TrainedFile
from evfer.bench.trained import write_trained as write_trained_file
from evfer.errors import EvferError
from evfer.frames import to_frames
from evfer.report.draw.spike_maps import collect_spike_maps
from evfer.report.read.comparison import group_rows
from evfer.report.read.results import read_results
from evfer.report.read.spike_rates_torch import rate_maps

FRAMES = {"n_steps": 2, "size": 32}


def write_trained(folder, data, model="spiking-fer", **options):
    """A run whose weights are kept, drawn at random."""
    rows = make_rows(model, n_subjects=3, labels_sha256="12" * 32, model_sha256="")
    write_run(folder, rows)
    (folder / "run.toml").write_text(
        f'[bench.x]\ndata = "{data}"\nmodel = "{model}"\nrecipe_sha256 = "{"ab" * 32}"\n',
        encoding="utf-8",
    )
    torch.manual_seed(0)
    module = models.create(model, len(CLASSES), 2, seed=0, **options)
    for row in rows:
        key = row_key(row)
        about = TrainedFile(
            key=key,
            model=model,
            options=options,
            classes=tuple(CLASSES),
            n_steps=2,
            frames=FRAMES,
            shape=(2, 2, 32, 32),
        )
        write_trained_file(folder / "checkpoints" / f"some-{key[:8]}{SUFFIX}", module, about)
    said = [p["clip_id"] for row in rows for p in row["predictions"]]
    write_set(data, set(said))
    return module.eval()


def test_maps_are_mean_spikes_a_neuron_and_step(tmp_path):
    module = write_trained(tmp_path / "results/a", tmp_path / "data")
    found = read_results(tmp_path / "results")
    row = found.rows[0]
    path = next((tmp_path / "results/a/checkpoints").glob(f"*-{row.key[:8]}{SUFFIX}"))
    recording = recordings.read(tmp_path / "data/FerDVS/DemoDVS/S000/001.h5")
    (maps,) = rate_maps(row, path, [recording], 5)
    spikes = []
    module.stem.node.register_forward_hook(lambda m, a, output: spikes.append(output))
    frames = to_frames(recording.events, recording.sensor_size, n_steps=2, size=32)
    with torch.inference_mode():
        module(torch.from_numpy(frames.astype(np.float32))[None])
    name, rates = maps[0]
    assert name == "stem"
    wanted = spikes[0].reshape(-1, *rates.shape).double().mean(dim=0)
    np.testing.assert_allclose(rates, wanted.numpy(), atol=1e-12)
    assert 0 < rates.max() <= 1
    sizes = [item.shape for _, item in maps]
    assert sizes == sorted(sizes, reverse=True)
    with pytest.raises(EvferError):
        rate_maps(found.rows[1], path, [recording], 5)


def test_the_page_shows_them_with_the_rows_answers(tmp_path):
    write_trained(tmp_path / "results/a", tmp_path / "data")
    found = read_results(tmp_path / "results")
    spike_maps = collect_spike_maps(group_rows(found.rows), found.runs, None)
    ((_, group, shown),) = spike_maps.found
    said = {(p.clip_id, p.prediction) for p in group.rows[0].predictions}
    assert shown
    assert {(clip.said.clip_id, clip.said.prediction) for clip in shown} <= said
    assert [clip.said.right for clip in shown] == sorted(
        (clip.said.right for clip in shown), reverse=True
    )
    written = report.render(tmp_path / "results", tmp_path / "out")
    assert "Where spiking-fer fired on DemoDVS" in Page(written.page).text
    assert (tmp_path / "out/figures/spikes-demodvs-spiking-fer.png").is_file()


def test_without_weights_or_spikes_the_page_says_so(tmp_path):
    write_run(tmp_path / "a", make_rows())
    found = read_results(tmp_path / "a")
    nothing = collect_spike_maps(group_rows(found.rows), found.runs, None)
    assert nothing.found == ()
    assert nothing.notes == (
        "No run here keeps trained weights, so there is nothing to run clips through.",
    )
    write_trained(tmp_path / "b/b", tmp_path / "data", "resnet18")
    found = read_results(tmp_path / "b")
    silent = collect_spike_maps(group_rows(found.rows), found.runs, None)
    assert silent.notes == ("resnet18 has no layers of spiking neurons to show.",)


def test_no_code_that_results_name_is_run(tmp_path, monkeypatch):
    (tmp_path / "sly.py").write_text("raise SystemExit('this code ran')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    rows = make_rows("sly:network", labels_sha256="12" * 32, model_sha256="")
    write_run(tmp_path / "a", rows)
    settings = f'[bench.x]\nrecipe_sha256 = "{"ab" * 32}"\n[bench.x.recipe]\nname = "x"\n'
    (tmp_path / "a/run.toml").write_text(settings, encoding="utf-8")
    key = row_key(rows[0])
    about = TrainedFile(key=key, model="sly:network", classes=tuple(CLASSES), n_steps=2)
    write_trained_file(tmp_path / f"a/checkpoints/x-{key[:8]}{SUFFIX}", nn.Linear(1, 1), about)
    data = write_set(tmp_path / "data", {p["clip_id"] for r in rows for p in r["predictions"]})
    found = read_results(tmp_path / "a")
    spike_maps = collect_spike_maps(group_rows(found.rows), found.runs, data)
    assert spike_maps.found == ()
    assert "a file does not say which code is run" in spike_maps.notes[0]


def test_weights_of_another_shape_are_told_about(tmp_path):
    write_trained(tmp_path / "a/a", tmp_path / "data")
    found = read_results(tmp_path / "a")
    for path in (tmp_path / "a/a/checkpoints").iterdir():
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        weights = load_file(path)
        weights.popitem()
        save_file(weights, path, metadata)
    spike_maps = collect_spike_maps(group_rows(found.rows), found.runs, None)
    assert "spiking-fer builds now" in spike_maps.notes[0]


def test_damaged_weights_are_told_about(tmp_path):
    write_trained(tmp_path / "a/a", tmp_path / "data")
    for path in (tmp_path / "a/a/checkpoints").iterdir():
        path.write_bytes(b"not weights")
    found = read_results(tmp_path / "a")
    spike_maps = collect_spike_maps(group_rows(found.rows), found.runs, None)
    assert spike_maps.found == ()
    assert spike_maps.notes[0].startswith("spiking-fer on DemoDVS")
