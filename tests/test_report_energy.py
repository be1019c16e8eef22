"""Energies in a report: rows' own beside the published ones, and never a guess."""

import pytest
from report_rows import Page, make_rows, write_run

from evfer import report
from evfer.bench.row_fields import RowEnergy, parse_energy
from evfer.energy import legacy_energy
from evfer.errors import DataError
from evfer.report.read.energy import (
    PUBLISHED_ANN_MJ,
    PUBLISHED_SNN_MJ,
    mean_energy,
)
from evfer.report.say.energy import explain_energy
from evfer.report.say.tables import build_tables

ENERGY = {
    "format": 1,
    "clips": 4,
    "full_mj": 0.5,
    "full_mac_mj": 0.6,
    "memory_mj": None,
    "paper": {"ann_macs": 1e9, "ann_mj": 0.8, "snn_acs": 1e8, "snn_mj": 0.09},
    "legacy": {"macs": 310_579_824_640, "ann_mj": 1428.667, "mean_rate": 0.03, "snn_mj": 8.4},
    "baselines": {"dense_ann_mj": 0.8, "sparse_ann_mj": None, "int8_ann_mj": 0.04, "macs": 1},
    "twin": "resnet18",
}


def test_a_rows_summary_is_read():
    found = parse_energy(ENERGY)
    assert (found.full_mj, found.paper_snn_mj, found.legacy_ann_mj) == (0.5, 0.09, 1428.667)
    assert (found.dense_ann_mj, found.sparse_ann_mj, found.twin) == (0.8, None, "resnet18")


@pytest.mark.parametrize(
    "value",
    [None, [], "x", {}, {"full_mj": "much"}, {"full_mj": float("nan")}, {"full_mj": -1},
     {"paper": 3}, {"full_mj": True}, {"full_mj": 10**400}, {"clips": 3}],
)  # fmt: skip
def test_what_says_nothing_is_nothing(value):
    assert parse_energy(value) is None


def test_folds_are_averaged_where_they_say_something():
    rows = [parse_energy(ENERGY), None, parse_energy(ENERGY | {"full_mj": 1.5, "legacy": None})]
    found = mean_energy(rows)
    assert (found.full_mj, found.legacy_snn_mj, found.clips) == (1.0, 8.4, 8)
    assert mean_energy([None]) is None


def test_published_energies_are_those_of_the_published_formula():
    assert round(legacy_energy().ann_mj, 2) == PUBLISHED_ANN_MJ
    # the implied mean rates of the specification, priced at 0.9 against 4.6 picojoules
    rates = (0.0782, 0.0938, 0.0971, 0.1078)
    implied = [PUBLISHED_ANN_MJ * rate * 0.9 / 4.6 for rate in rates]
    assert implied == pytest.approx(PUBLISHED_SNN_MJ, abs=0.02)
    table = build_tables([])["energy-published"]
    assert [row[2] for row in table.rows] == [PUBLISHED_ANN_MJ, *PUBLISHED_SNN_MJ]


def test_the_difference_is_explained_in_two_sentences():
    said = explain_energy([])
    assert said.count(". ") == 1
    assert said.endswith(".")
    assert "1,000 times" in explain_energy([RowEnergy(legacy_ann_mj=1500.0, paper_ann_mj=1.5)])


def test_the_page_shows_energies_beside_the_published_ones(tmp_path):
    write_run(tmp_path / "a", make_rows(energy=ENERGY))
    written = report.render(tmp_path / "a", tmp_path / "out")
    text = Page(written.page).text
    for part in ("1,428.67", "21.85", "30.13", "full, mJ", "squares the area", "8.4"):
        assert part in text
    names = {path.name for path in written.figures}
    assert "energy-demodvs-strict.svg" in names
    svg = (tmp_path / "out/figures/energy-demodvs-strict.svg").read_text(encoding="utf-8")
    assert "spiking-fer, legacy, with spikes: 8.4 mJ" in svg
    assert "published, Spiking-FER: 21.85 mJ" in svg


def test_energies_alone_are_no_results(tmp_path):
    (tmp_path / "energy.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="energies come with the rows of evfer bench"):
        report.render(tmp_path)


def test_without_energies_the_page_says_how_to_get_them(tmp_path):
    write_run(tmp_path / "a", make_rows())
    text = Page(report.render(tmp_path / "a", tmp_path / "out").page).text
    assert "No row states energies. evfer energy --run" in text
    assert "1,428.67" in text


def test_why_a_network_was_not_counted_is_told(tmp_path):
    note = "its layers cannot be watched."
    write_run(tmp_path / "a", make_rows(energy=None, energy_note=note))
    text = Page(report.render(tmp_path / "a", tmp_path / "out").page).text
    assert text.count("spiking-fer: no energies (its layers cannot be watched).") == 1
