"""The tutorial, typed word for word: its files saved, its commands run, its output held to."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from evfer import plugins

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+%?")
CLOSE = 0.25  # of scores, which differ from processor to processor
EVENTS = 0.1  # a share of their number, which differs from codec to codec


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what is in it, and the text before it."""

    language: str
    content: str
    before: str


def read_blocks(text):
    """Cut a page into its fenced blocks, in order."""
    blocks, end = [], 0
    for found in FENCE.finditer(text):
        blocks.append(Block(found[1], found[2], text[end : found.start()]))
        end = found.end()
    assert "```" not in FENCE.sub("", text), "a fence that is not closed"
    return blocks


def type_page(text, folder, environment):
    """Do what a page says, in an empty folder; give what each shell block printed."""
    printed = []
    blocks = read_blocks(text)
    for block in blocks:
        if block.language == "python":
            names = re.findall(r"`(\w+\.py)`", block.before)
            assert names, f"under what name is this saved?\n{block.content}"
            (folder / names[-1]).write_text(block.content, encoding="utf-8")
        elif block.language == "bash":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.content],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                check=False,
            )
            assert done.returncode == 0, f"{block.content}\n{done.stdout}"
            printed.append((block.content, done.stdout))
        elif block.language == "text":
            hold(block.content, *printed[-1])
        else:
            assert block.language == "toml", f"a block of {block.language or 'no language'}"
    return printed


def hold(stated, command, printed):
    """Fail unless the stated lines stand in the output, in order; `...` stands for the rest."""
    lines = [line.split() for line in printed.splitlines()]
    place = 0
    for line in filter(None, map(str.split, stated.splitlines())):
        while place < len(lines) and not same_line(line, lines[place], "convert" in command):
            place += 1
        assert place < len(lines), f"{' '.join(line)!r} is not in what came out:\n{printed}"
        place += 1


def same_line(stated, found, events):
    if stated[-1] == "...":
        stated, found = stated[:-1], found[: len(stated) - 1]
    return len(stated) == len(found) and all(
        same_word(one, other, events) for one, other in zip(stated, found, strict=True)
    )


def same_word(stated, found, events):
    one, other = stated.rstrip(",;."), found.rstrip(",;.")
    if one == other or not (NUMBER.fullmatch(one) and NUMBER.fullmatch(other)):
        return one == other
    a, b = (float(word.rstrip("%").replace(",", "")) for word in (one, other))
    if one.endswith("%") and other.endswith("%"):
        return abs(a - b) <= 100 * CLOSE
    if "." in one and "." in other:
        return abs(a - b) <= CLOSE
    return events and a >= 1000 and abs(a - b) <= EVENTS * a


@pytest.fixture(scope="module")
def environment():
    """What a user's shell has: this Python and its evfer first, a wide window, no settings."""
    programs = str(Path(sys.executable).parent)
    if shutil.which("bash") is None:
        pytest.skip("no bash to type the commands into")
    if shutil.which("evfer", path=programs) is None:
        pytest.skip("evfer is not installed beside this Python: pip install .")
    found = {name: value for name, value in os.environ.items() if not name.startswith("EVFER_")}
    return found | {
        "PATH": os.pathsep.join([programs, found.get("PATH", "")]),
        "COLUMNS": "200",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.mark.slow  # a minute
def test_the_tutorial_does_what_it_says(tmp_path, environment):
    text = PAGE.read_text(encoding="utf-8")
    printed = type_page(text, tmp_path, environment)

    # what its sentences claim
    assert "no frames beside" not in printed[3][1]
    player = (tmp_path / "person0.html").read_text(encoding="utf-8")
    assert 'src="http' not in player
    assert (tmp_path / "lab.png").read_bytes()[1:4] == b"PNG"
    page = (tmp_path / "results/report/report.html").read_text(encoding="utf-8")
    assert "no difference between the two is shown" in page
    beside = {path.suffix for path in (tmp_path / "results/report").rglob("*") if path.is_file()}
    assert beside == {".html", ".csv", ".json", ".md", ".tex", ".svg", ".png", ".pdf"}
    (points,) = (block.content for block in read_blocks(text) if block.language == "toml")
    for group, names in tomllib.loads(points)["project"]["entry-points"].items():
        assert group in plugins.BUILTIN
        for target in names.values():
            module, name = target.split(":")
            source = (tmp_path / f"{module}.py").read_text(encoding="utf-8")
            assert re.search(rf"^(class|def) {name}\b", source, re.MULTILINE)


PAGE_OF_ONE = """Save as `a.py`:

```python
print(3, "clips of 2 people: 0.500, 12000 events")
```

```bash
python a.py
```

```text
3 clips of 2 people: 0.500, 12000 ...
```
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a.py\n```\n\n```text", "b.py\n```\n\n```text"),  # a command that fails
        ("print(3", "print(4"),  # a count
        ("of 2 people: 0.500, 12000 ev", "of 2 persons: 0.500, 12000 ev"),  # a word
        ("0.500, 12000 ev", "0.200, 12000 ev"),  # a score far away
        ("12000 ev", "12100 ev"),  # another number where none is of events
        ("```text\n3", "```text\nfirst\n3"),  # a line that nothing printed
        ("Save as `a.py`", "Save it"),
        ("```bash", "```sh"),
    ],
)
def test_a_page_that_lies_is_found_out(tmp_path, environment, old, new):
    type_page(PAGE_OF_ONE, tmp_path, environment)
    type_page(PAGE_OF_ONE.replace("0.500, 12000 ev", "0.600, 12000 ev"), tmp_path, environment)
    assert PAGE_OF_ONE.count(old) == 1
    with pytest.raises(AssertionError):
        type_page(PAGE_OF_ONE.replace(old, new), tmp_path, environment)
