"""Recipes: types, unknown keys, overrides, digests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evfer import config
from evfer.errors import ConfigError, UnknownNameError


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    name: str = "x"
    count: int | None = None
    flag: bool = False
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)
    free: dict[str, Any] = field(default_factory=dict)
    factor: int | Literal["auto"] = "auto"


def test_build_nests_and_keeps_defaults():
    made = config.build(
        Outer,
        {"count": 3, "inner": {"rate": 2}, "many": [{"kind": "b"}], "pair": [1, 2], "factor": 4},
    )
    assert made == Outer(
        count=3, inner=Inner(2.0), many=(Inner(kind="b"),), pair=(1.0, 2.0), factor=4
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"conut": 3}, 'unknown recipe key "conut".*Did you mean "count"'),
        ({"inner": {"rat": 3}}, 'unknown recipe key "inner.rat".*"inner.rate"'),
        ({"count": "three"}, "count = 'three'"),
        ({"count": True}, "count = True"),
        ({"flag": 1}, "flag = 1; expected a value of type true or false"),
        (
            {"inner": {"rate": "fast"}},
            "inner.rate = 'fast'; expected a value of type finite number",
        ),
        ({"inner": {"rate": float("nan")}}, "inner.rate = nan"),
        ({"inner": {"kind": "c"}}, 'unknown value of inner.kind "c"'),
        ({"pair": [1.0]}, "pair"),
        ({"factor": "all"}, "factor"),
        ({"many": [{"rate": "x"}]}, "many.rate"),
    ],
)
def test_build_refuses(values, message):
    with pytest.raises(ConfigError, match=message):
        config.build(Outer, values)


def test_overrides_read_toml_values():
    found = config.parse_overrides(["a.b=1", "a.c=true", "d=text", "e=[1, 2]", "a.b=2", 'f="3"'])
    assert found == {"a": {"b": 2, "c": True}, "d": "text", "e": [1, 2], "f": "3"}


@pytest.mark.parametrize("text", ["a", "=1", "a.=1", ".a=1", ""])
def test_overrides_refuse(text):
    with pytest.raises(ConfigError, match="--set"):
        config.parse_overrides([text])


@given(st.dictionaries(st.sampled_from("abc"), st.integers()), st.integers())
def test_merge_changes_neither_side(base, value):
    over = {"a": value}
    before = dict(base)
    assert config.merge(base, over) == {**base, "a": value}
    assert base == before


def test_digest_sees_every_setting():
    assert config.digest(Outer()) == config.digest(config.build(Outer, {}))
    assert config.digest(Outer()) != config.digest(Outer(inner=Inner(1.5)))


def test_toml_round_trip():
    made = Outer(count=None, many=(Inner(), Inner(2.0, "b")), free={"k": [1, {"z": "ü"}]})
    import tomllib

    assert config.build(Outer, tomllib.loads(config.to_toml(made))) == made


def test_shipped_files_are_found_by_name_and_path(tmp_path):
    assert config.find_shipped("pipelines", "default").name == "default.toml"
    own = tmp_path / "mine.toml"
    own.write_text("name = 'mine'")
    assert config.find_shipped("pipelines", str(own)) == own
    for name in ("defualt", "../pyproject", str(tmp_path / "none.toml")):
        with pytest.raises(UnknownNameError, match="recipe"):
            config.find_shipped("pipelines", name)


def test_bad_toml_names_the_file(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("a = = 1")
    with pytest.raises(ConfigError, match="bad.toml"):
        config.read_toml(path)
