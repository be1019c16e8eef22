"""Presets of the emulator, and the recipe that reproduces the published conversion."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import slomo_weights

from evfer import config, convert, recordings
from evfer.cli import main
from evfer.convert import load_config
from evfer.datasets.demo import DemoHeads
from evfer.emulator import PRESETS, DVSParams
from evfer.errors import ConfigError, DataError, UnknownNameError

IRRELEVANT_WITHOUT_LEAK = {"leak_jitter_fraction": 0.0, "noise_rate_cov_decades": 0.0}


def write(folder, text):
    path = folder / "recipe.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_chosen(name):
    overrides = config.parse_overrides([f"emulator.preset={name}"])
    timing = load_config("default").emulator.timing
    expected = dataclasses.replace(PRESETS[name], timing=timing)
    assert load_config("default", overrides).emulator == expected


def test_v2es_back_end_brings_its_timing():
    settings = load_config("default", {"emulator": {"backend": "v2e"}})
    assert settings.emulator == DVSParams(backend="v2e", timing="slot")
    with pytest.raises(ConfigError, match='timing "slot", which is all that v2e has'):
        load_config("default", {"emulator": {"backend": "v2e", "timing": "crossing"}})


def test_a_recipes_own_values_lie_over_its_preset(tmp_path):
    recipe = write(tmp_path, '[emulator]\nsigma_thres = 0.1\npreset = "noisy"')
    expected = dataclasses.replace(PRESETS["noisy"], sigma_thres=0.1)
    assert load_config(recipe).emulator == expected
    more = load_config(recipe, {"emulator": {"cutoff_hz": 9}}).emulator
    assert more == dataclasses.replace(expected, cutoff_hz=9)


def test_an_overriding_preset_takes_the_sections_place(tmp_path):
    recipe = write(tmp_path, 'seed = 3\n[emulator]\npreset = "noisy"\npos_thres = 0.4')
    settings = load_config(recipe, {"emulator": {"neg_thres": 0.3, "preset": "clean"}})
    assert settings.emulator == dataclasses.replace(PRESETS["clean"], neg_thres=0.3)
    assert settings.seed == 3
    without = write(tmp_path, "[emulator]\npos_thres = 0.4")
    assert load_config(without, {"emulator": {"preset": "paper"}}).emulator == DVSParams()


def test_a_preset_that_is_not_there(tmp_path):
    with pytest.raises(UnknownNameError, match=r'preset "nosiy".*Did you mean "noisy"'):
        load_config("default", {"emulator": {"preset": "nosiy"}})
    with pytest.raises(UnknownNameError, match='preset "3"; expected one of clean, noisy, paper'):
        load_config(write(tmp_path, "[emulator]\npreset = 3"))
    with pytest.raises(ConfigError, match="emulator = 'noisy'"):
        load_config("default", {"emulator": "noisy"})


def test_the_record_holds_what_a_preset_stands_for(tmp_path):
    settings = load_config(
        "default", {"emulator": {"preset": "noisy"}, "interpolation": {"method": "none"}}
    )
    demo = DemoHeads(people=1, repetitions=1, frames=10)
    folder = convert.convert(demo, None, tmp_path, settings, limit=1).folder
    record = config.read_toml(folder / "conversion.toml")
    assert record["recipe"]["emulator"] == {
        **config.to_dict(PRESETS["noisy"]),
        "timing": "crossing",
    }
    # the demo heads move little: most of these events are noise
    (entry,) = recordings.read_index(folder)
    assert entry.n_events > 200 * 200 * 5 / 4 * 0.3 * 0.9


def test_v2es_pattern_needs_a_seed_and_is_one_for_all_clips(tmp_path):
    with pytest.raises(ConfigError, match='seed 0 with emulator.pattern "v2e"; expected 1 or more'):
        load_config("default", {"emulator": {"pattern": "v2e"}})
    demo = DemoHeads(people=1, repetitions=2, frames=10)
    one, two = demo.survey(None).clips[:2]

    def events(clip, folder, pattern):
        settings = load_config(
            "default",
            {"seed": 5, "emulator": {"pattern": pattern}, "interpolation": {"method": "none"}},
        )
        # what another clip shows, under this one's name
        shown = dataclasses.replace(clip, locator=one.locator)
        convert.convert_clip(demo, shown, None, tmp_path / folder, settings)
        return recordings.read(tmp_path / folder / clip.subject / f"{clip.sequence:03d}.h5").events

    np.testing.assert_array_equal(events(one, "a", "v2e"), events(two, "b", "v2e"))
    assert not np.array_equal(events(one, "c", "numpy"), events(two, "d", "numpy"))


def test_the_paper_recipe_names_every_quirk():
    settings = load_config("paper")
    published = dataclasses.replace(DVSParams(), **IRRELEVANT_WITHOUT_LEAK)
    assert settings.emulator == published
    assert settings.emulator.timing == "slot"
    assert settings.emulator.refractory_period_s == 0.0005
    between = settings.interpolation
    assert (between.method, between.factor, between.batch_size) == ("superslomo", "auto", 8)
    assert (between.compat, between.times) == ("v2e", "v2e")
    assert (settings.faces.geometry, settings.faces.align) == ("paper-fixed", "none")
    for dataset in ("demo", "folder"):
        assert convert.open_dataset(dataset, settings).fps == 30


def test_the_paper_recipe_says_what_it_lacks_before_any_work(capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("EVFER_SLOMO_WEIGHTS", raising=False)
    line = "convert --dataset demo --recipe paper --limit 1 --out"
    code = main([*line.split(), str(tmp_path / "data")])
    message = " ".join(capsys.readouterr().err.split())
    assert code == 4
    assert "SuperSloMo39.ckpt" in message
    assert "interpolation.method=flow" in message
    assert not (tmp_path / "data").exists()


def test_weights_that_are_none_stop_the_conversion_first(tmp_path):
    (tmp_path / "weights.ckpt").write_text("no weights")
    given = {"interpolation": {"weights": str(tmp_path / "weights.ckpt")}}
    with pytest.raises(DataError, match="weights.ckpt"):
        convert.convert(DemoHeads(), None, tmp_path / "data", load_config("paper", given))
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_the_paper_recipe_runs_with_weights(tmp_path):
    weights = slomo_weights.save(slomo_weights.draw(1, 0.2), tmp_path / "drawn.ckpt")
    settings = load_config("paper", {"interpolation": {"weights": str(weights)}})
    demo = DemoHeads(people=1, repetitions=1, frames=9)
    summary = convert.convert(demo, None, tmp_path, settings, limit=1)
    assert (summary.converted, summary.failures) == (1, ())
    assert summary.entries[0].n_events > 100
