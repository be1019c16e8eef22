"""The accountings: as published, as once computed, as without spikes; and energy by name."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
import torch
from benching import run, write_set
from safetensors.torch import save_file
from torch import nn

from evfer import recordings
from evfer.bench import load
from evfer.bench.meter import meter
from evfer.cli import main
from evfer.energy import (
    Pricing,
    Tally,
    build_report,
    compute_baselines,
    legacy_energy,
    paper_energy,
    price,
)
from evfer.energy.accountings import LEGACY_LAYERS
from evfer.energy.counting_torch import count
from evfer.energy.counts import LayerCounts, NetworkCounts
from evfer.errors import ConfigError, DataError, RecordingError, SourceError, UnknownNameError
from evfer.inputs import load_set, make_frames
from evfer.models import create
from evfer.training.recipe import load_config

TINY = {
    "frames": {"n_steps": 3, "size": 32},
    "train": {"epochs": 1, "batch_size": 24, "precision": "no"},
    "select": {"on": "last"},
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class TestLegacy:
    def test_products_and_energy_without_spikes_are_the_published_ones(self):
        found = legacy_energy()
        assert found.macs == 310_579_824_640
        assert round(found.ann_mj, 3) == 1428.667
        assert found.snn_mj is None

    @pytest.mark.parametrize(
        ("rate", "energy"),
        [(0.0782, 21.85), (0.0938, 26.22), (0.0971, 27.15), (0.1078, 30.13)],
    )
    def test_energies_with_spikes_and_mean_rates_are_the_published_ones(self, rate, energy):
        rates = {layer.name: rate for layer in LEGACY_LAYERS}
        found = legacy_energy(rates)
        assert found.mean_rate == pytest.approx(rate)
        # rates are published to four places, and half of the last one is worth 0.014 mJ
        assert found.snn_mj == pytest.approx(energy, abs=0.00005 * 279.52)
        # turned round, the energies give the very rates
        assert round(energy / (found.macs * 0.9e-9), 4) == rate

    def test_every_layer_counts_with_its_own_rate(self):
        rates = dict.fromkeys((layer.name for layer in LEGACY_LAYERS), 0.0)
        rates["blocks.2.shortcut"] = 0.5
        # 3 x 3 taps, 64 to 128 channels, an area of (128 / 8)^2 = 256 squared; half of it fires
        macs = 9 * 256**2 * 64 * 128
        assert legacy_energy(rates).snn_mj == pytest.approx(macs * 0.5 * 0.9e-9)
        assert len(LEGACY_LAYERS) == 1 + 16 + 3 + 1

    def test_it_is_for_networks_of_spiking_fers_shape(self):
        frames = torch.zeros(1, 2, 2, 32, 32)
        spiking = build_report(count(create("spiking-fer", 6, 2), frames), ran=True)
        assert spiking.legacy.snn_mj == 0  # it ran and was silent
        assert build_report(spiking.counts, ran=False).legacy.snn_mj is None
        plain = build_report(count(create("resnet18", 6, 2), frames))
        assert (plain.legacy.macs, plain.legacy.snn_mj) == (310_579_824_640, None)
        other = build_report(count(create("cnn1", 6, 2), frames))
        assert other.legacy is None
        assert "Spiking-FER alone" in other.explain()[1]


def synapses(name, dense, pairs, n_steps=2, feeds=""):
    tally = Tally(inputs=10, nonzero=5, outputs=4, dense=dense, pairs=pairs, unit_pairs=pairs)
    return LayerCounts(name, "linear", (tally,) * n_steps, "binary", feeds=feeds)


def neurons(name, *spikes):
    steps = tuple(Tally(outputs=40, spikes=s) for s in spikes)
    return LayerCounts(name, "neuron", steps, neuron="if")


class TestPaperAndBaselines:
    @pytest.fixture
    def spiking(self):
        # two clips of two steps: 20 neurons each, which fire 4 and 12 times of 40 a step
        layers = (
            synapses("first", 2 * 600, 2 * 90, feeds="node"),
            neurons("node", 4, 12),
            synapses("second", 2 * 100, 2 * 20),
        )
        return NetworkCounts(layers, 2, 2, (1, 4, 4))

    @pytest.fixture
    def plain(self):
        return NetworkCounts((synapses("only", 2 * 900, 2 * 300, n_steps=1),), 2, 2, (1, 4, 4))

    def test_a_pass_times_what_a_neuron_fires_in_a_clip(self, spiking):
        found = paper_energy(spiking)
        # one pass: 600 + 100; a neuron fires 16 / 40 times in a clip, two steps together;
        # the readout drives no neurons, and counts as dense at both steps
        assert found.ann_macs == 700
        assert found.ann_mj == pytest.approx(700 * 4.6e-9)
        assert found.snn_acs == pytest.approx(600 * 16 / 40 + 100 * 2)
        assert found.snn_mj == pytest.approx(440 * 0.9e-9)
        assert spiking.mean_rate() == pytest.approx(16 / 80)
        assert spiking.mean_rate("total") == pytest.approx(16 / 40)
        assert paper_energy(spiking, ran=False).snn_mj is None

    def test_a_network_without_spikes(self, spiking, plain):
        assert paper_energy(plain).snn_mj is None
        assert paper_energy(spiking, plain).ann_macs == 900
        assert plain.mean_rate() is None
        own, twin = compute_baselines(spiking), compute_baselines(spiking, plain)
        assert (own.macs, own.sparse_ann_mj) == (700, None)
        assert twin.dense_ann_mj == pytest.approx(900 * 4.6e-9)
        assert twin.sparse_ann_mj == pytest.approx(300 * 4.6e-9)
        assert twin.int8_ann_mj == pytest.approx(900 * 0.23e-9)
        assert compute_baselines(spiking, plain, ran=False).sparse_macs is None

    def test_a_network_without_spikes_that_works_step_by_step_works_every_time(self):
        counts = NetworkCounts((synapses("each", 2 * 50, 2 * 10),), 2, 2, (1, 4, 4))
        assert compute_baselines(counts).macs == paper_energy(counts).ann_macs == 100

    def test_settings_that_make_no_price_are_refused(self, spiking):
        with pytest.raises(ConfigError, match="fp64"):
            price(spiking, Pricing(precision="fp64"))
        with pytest.raises(ConfigError, match="whole numbers"):
            price(spiking, Pricing("twice"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_set(folder)
    return folder


@pytest.fixture(scope="module")
def results(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    for model in ("spiking-fer", "resnet18"):
        config = load_config("demo", model, overrides=TINY)
        folder = recordings.find_set(data, "tiny")
        run(folder, out / model, model=model, config=config, only_folds=[1])
    return out


def weights_of(results, model):
    return next((results / model / "checkpoints").glob("*.trained.safetensors"))


class TestByName:
    def test_trained_weights_their_test_clips_and_their_framing(self, data, results):
        report = meter("spiking-fer", data, run=results, limit=4)
        row = json.loads((results / "spiking-fer" / "rows.jsonl").read_text())
        assert report.weights == "trained: run spiking-fer, fold 1, seed 0"
        assert report.twin_weights == "trained: run resnet18, fold 1, seed 0"
        assert (report.dataset, report.counts.n_clips) == ("TinyDVS", 4)
        assert (report.counts.n_steps, report.counts.frame) == (3, (2, 32, 32))
        assert report.remarks == ()
        # the same from Python, out of the parts
        events = load_set(recordings.find_set(data, "tiny"))
        config = load_config("demo", "spiking-fer", overrides=TINY)
        tested = [said["clip_id"] for said in row["predictions"]]
        clips = [tested[i * len(tested) // 4] for i in range(4)]
        frames = [make_frames(events, events.clip_ids.index(c), config.frames) for c in clips]
        module = load(weights_of(results, "spiking-fer")).module
        counts = count(module, (torch.from_numpy(f)[None] for f in frames))
        assert report.counts == counts
        assert report.full == build_report(counts).full
        assert 0 < report.full_mj <= report.full_mac_mj < report.baselines.dense_ann_mj
        assert 0 < report.baselines.sparse_ann_mj < report.baselines.dense_ann_mj
        assert 0 < counts.mean_rate() < 1

    def test_a_twin_that_was_not_trained_gets_the_same_frames(self, data, results, tmp_path):
        shutil.copytree(results / "spiking-fer", tmp_path / "spiking-fer")
        alone = meter("spiking-fer", data, run=tmp_path, limit=1)
        both = meter("spiking-fer", data, run=results, limit=1)
        assert alone.baselines.dense_ann_mj == both.baselines.dense_ann_mj
        assert any("not trained on such frames" in remark for remark in alone.remarks)
        # nor does one count that was trained on others
        other = load_config(
            "demo", "resnet18", overrides=TINY | {"frames": {"n_steps": 3, "size": 16}}
        )
        folder = recordings.find_set(data, "tiny")
        out = tmp_path / "resnet18"
        run(folder, out, model="resnet18", config=other, only_folds=[1])
        again = meter("spiking-fer", data, run=tmp_path, limit=1)
        assert again.baselines.dense_ann_mj == both.baselines.dense_ann_mj
        assert "drawn at random" in again.twin_weights

    def test_a_file_of_weights(self, data, results, tmp_path):
        path = weights_of(results, "spiking-fer")
        beside = meter("spiking-fer", data, weights=path, limit=1)
        assert beside.weights == "trained: run spiking-fer, fold 1, seed 0"
        assert beside.twin_weights == "trained: run resnet18, fold 1, seed 0"
        alone = tmp_path / "a" / path.name
        alone.parent.mkdir()
        alone.write_bytes(path.read_bytes())
        settings = {"dataset": "tiny", "limit": 2, "twin": "none"}
        report = meter("spiking-fer", data, weights=alone, **settings)
        assert report.weights == f"trained: {path.name}"
        assert "training clips may be among" in report.remarks[0]
        with pytest.raises(ConfigError, match="trained on 3 steps"):
            meter("spiking-fer", data, weights=alone, recipe="demo", **settings)
        with pytest.raises(ConfigError, match="weights of spiking-fer"):
            meter("resnet18", data, weights=alone, overrides=_frames(), **settings)
        with pytest.raises(ConfigError, match="weights of spiking-fer"):
            meter("resnet18", data, weights=path)
        alone.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(RecordingError, match="cannot be read"):
            meter("spiking-fer", data, weights=alone, recipe="demo", **settings)
        save_file({"fc.weight": torch.ones(2)}, alone)
        with pytest.raises(RecordingError, match="no trained network"):
            meter("spiking-fer", data, weights=alone, recipe="demo", **settings)

    def test_random_weights_are_called_so(self, data):
        report = meter(
            "spiking-fer", data, dataset="tiny", recipe="demo", limit=1, overrides=_frames()
        )
        assert report.weights == "drawn at random (seed 0)"
        assert "untrained" in report.remarks[0]
        # 12 clips are tested in fold 0 of 4, of 48
        whole = meter(
            "cnn1", data, dataset="tiny", recipe="demo", fold=3, overrides=_frames(), seed=5
        )
        assert (whole.counts.n_clips, whole.twin) == (12, "")

    def test_without_a_set_there_are_dense_products_alone(self):
        report = meter("spiking-fer", recipe="demo", overrides=_frames())
        assert not report.ran
        assert report.full_mj is report.paper.snn_mj is report.legacy.snn_mj is None
        assert report.baselines.dense_ann_mj > 0
        assert report.baselines.sparse_ann_mj is None
        assert report.summary()["pairs"] is None
        line = report.layers()[0]
        assert (line.dense_macs, line.pairs, line.energy_nj, line.nonzero) == (
            49 * 2 * 64 * 256 * 3, None, None, None,
        )  # fmt: skip

    def test_what_cannot_be_found_is_named(self, data, results, tmp_path):
        with pytest.raises(
            SourceError, match=r"no trained weights of cnn1.*spiking-fer on TinyDVS"
        ):
            meter("cnn1", data, run=results)
        with pytest.raises(SourceError, match="fold 0"):
            meter("spiking-fer", data, run=results, fold=0)
        with pytest.raises(SourceError, match="evfer bench --model"):
            meter("spiking-fer", data, run=tmp_path)
        with pytest.raises(SourceError, match="no converted set"):
            meter("spiking-fer", tmp_path, run=results)
        with pytest.raises(UnknownNameError, match="memory"):
            meter("spiking-fer", overrides={"energy": {"memroy": "per_use"}})
        with pytest.raises(ConfigError, match="one of them"):
            meter("spiking-fer", data, run=results, weights=tmp_path)
        with pytest.raises(ConfigError, match="limit of 0"):
            meter("spiking-fer", data, limit=0)
        with pytest.raises(ConfigError, match="fold 9"):
            meter("cnn1", data, dataset="tiny", fold=9)
        (tmp_path / "rows.jsonl").write_bytes((results / "resnet18" / "rows.jsonl").read_bytes())
        with pytest.raises(SourceError, match="no trained weights"):
            meter("resnet18", data, run=tmp_path)

    def test_a_set_converted_anew_and_clips_that_are_gone(self, data, results, tmp_path):
        root = write_set(tmp_path)
        entries = recordings.read_index(root)
        row = json.loads((results / "resnet18" / "rows.jsonl").read_text())
        tested = {said["clip_id"] for said in row["predictions"]}
        recordings.write_index(root, [e for e in entries if e.clip_id != min(tested)])
        report = meter("resnet18", tmp_path, run=results)
        assert report.counts.n_clips == len(tested) - 1
        assert "converted anew" in report.remarks[0]
        assert "1 test clips are no longer" in report.remarks[1]
        recordings.write_index(root, [e for e in entries if e.clip_id not in tested])
        with pytest.raises(DataError, match="none of the test clips"):
            meter("resnet18", tmp_path, run=results)


def _frames():
    return {"frames": TINY["frames"]}


class TestCommand:
    def run(self, capsys, *arguments):
        code = main(["energy", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    def test_table_and_accountings(self, capsys, data, results):
        code, out, err = self.run(
            capsys, "--model", "spiking-fer", "--data", data, "--run", results, "--limit", 1,
            "--set", "energy.memory=per_use",
        )  # fmt: skip
        assert code == 0, err
        for word in ("stem", "blocks.2.shortcut", "head.classes", "together", "uJ memory"):
            assert word in out
        for accounting in ("full", "paper", "legacy", "1,428.6672", "dense, in int8"):
            assert accounting in out
        assert "reading weights, per_use" in out
        assert "really occur" in out
        assert "2/2" in err  # the twin ran too

    def test_json_and_files_say_the_same(self, capsys, data, results, tmp_path):
        code, out, _ = self.run(
            capsys, "--model", "spiking-fer", "--data", data, "--run", results, "--limit", 1,
            "--json", "--out", tmp_path / "new",
        )  # fmt: skip
        assert code == 0
        said = json.loads(out)
        assert said == json.loads((tmp_path / "new" / "energy.json").read_text())
        with (tmp_path / "new" / "energy-layers.csv").open() as file:
            lines = list(csv.DictReader(file))
        assert [line["name"] for line in lines] == [layer["name"] for layer in said["layers"]]
        stem = said["layers"][0]
        assert len(stem["steps"]) == said["steps"] == 3
        assert sum(step["pairs"] for step in stem["steps"]) == pytest.approx(stem["pairs"])
        total = sum(layer["energy_nj"] for layer in said["layers"])
        assert said["full_mj"] == pytest.approx(total * 1e-6)
        assert float(lines[0]["energy_nj"]) == stem["energy_nj"]

    def test_dense_counts_say_that_spikes_are_unknown(self, capsys):
        code, out, _ = self.run(
            capsys, "--model", "spiking-fer", "--set", "frames.size=32", "--set", "frames.n_steps=2"
        )
        assert code == 0
        assert "Spikes and zeros are unknown" in out

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["--model", "spiking-fre"], 2, 'Did you mean "spiking-fer"'),
            (["--model", "cnn1", "--dataset", "nowhere"], 3, "no converted set"),
            (["--model", "cnn1", "--set", "energy.precision=fp64"], 2, "fp32"),
            (["--model", "cnn1", "--set", "energy=3"], 2, "energy.memory=per_use"),
            (["--model", "cnn1", "--weights", "none.pt"], 3, "no such file"),
            (["--model", "cnn1", "--twin", "rsnet18"], 2, "resnet18"),
        ],
    )
    def test_messages(self, capsys, data, arguments, code, message):
        found, _, err = self.run(capsys, *arguments, "--data", data)
        assert found == code
        assert message in err


def test_a_network_of_ones_own(data, tmp_path, monkeypatch):
    (tmp_path / "mine_for_energy.py").write_text(
        "from torch import nn\n"
        "def build(n_classes, n_steps):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(n_steps * 2 * 1024, n_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    report = meter(
        "mine_for_energy:build", data, dataset="tiny", recipe="demo", limit=3, overrides=_frames()
    )
    (line,) = report.layers()
    assert line.dense_macs == 3 * 2 * 1024 * 3
    assert isinstance(create("mine_for_energy:build", 3, 3), nn.Module)
    assert 0 < line.pairs < line.dense_macs
