"""What CONTRIBUTING.md shows keeps the contracts that it names."""

import re
from pathlib import Path

from evfer import testing

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_network_keeps_the_contract(tmp_path, monkeypatch):
    (example,) = re.findall(r"```python\n(# my_net\.py.*?)```", TEXT, re.DOTALL)
    (tmp_path / "net_of_contributing.py").write_text(example)
    monkeypatch.syspath_prepend(tmp_path)
    testing.check_model("net_of_contributing:build", n_classes=3, n_steps=2, size=24)


def test_every_file_and_check_that_it_names_is_there():
    for path in re.findall(r"`((?:evfer|tests)/[\w/.]+)(?::\w+)?`", TEXT):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"evfer\.testing\.(\w+)|`(check_\w+)`", TEXT):
        assert hasattr(testing, name[0] or name[1]), name


def test_the_architecture_names_every_room():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.stem for path in (ROOT / "evfer").glob("[!_]*.py")}
    rooms |= {path.parent.name for path in (ROOT / "evfer").glob("*/__init__.py")}
    rooms -= {"cli", "testing", "demo", "catalog", "doctor", "info"}
    table = text[text.index("| room |") : text.index("## Three nouns")]
    assert not {room for room in rooms if f"`{room}`" not in table}
    for path in re.findall(r"`((?:\w+/)+\w+\.py)", text):
        assert (ROOT / path).exists() or (ROOT / "evfer" / path).exists(), path
