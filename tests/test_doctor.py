"""Doctor looks at everything that the package's own metadata names."""

from importlib import metadata

import pytest
from packaging.requirements import Requirement

from evfer import doctor


@pytest.fixture
def declared(monkeypatch):
    def declare(*requirements):
        monkeypatch.setattr(metadata, "requires", lambda name: list(requirements))

    return declare


def packages():
    return {finding.name: finding for finding in doctor._packages()}


@pytest.mark.slow
def test_every_dependency_is_looked_at(tmp_path):
    findings = {finding.name: finding.state for finding in doctor.examine(tmp_path)}
    for text in metadata.requires("evfer"):
        if "extra" not in text:
            assert findings[Requirement(text).name] == "ok"


def test_versions_markers_and_extras(declared):
    declared(
        "numpy>=1.26",
        "click<2",
        "no-such-package-here>=1",
        'no-such-package-either>=1; sys_platform == "nowhere"',
        'no-such-export>=2; extra == "export"',
        'no-such-test>=2; extra == "test"',
    )
    findings = packages()
    assert {name: finding.state for name, finding in findings.items()} == {
        "numpy": "ok",
        "click": "broken",
        "no-such-package-here": "broken",
        "no-such-export": "not here",
    }
    assert "not <2" in findings["click"].detail
    assert findings["click"].remedy == 'pip install "click<2"'
    assert findings["no-such-export"].remedy == 'pip install "evfer[export]"'
