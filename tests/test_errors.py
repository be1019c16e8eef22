"""Errors: the tree as drawn, messages in three parts, exit codes, crossing processes."""

from __future__ import annotations

import pickle
import re

import pytest

from evfer import errors
from evfer.errors import EvferError, UnknownNameError


def test_drawing_is_the_tree():
    drawn = []
    for line in errors.__doc__.splitlines():
        match = re.match(r"^    (?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)\s*(?P<code>\d)?", line)
        if match:
            drawn.append((len(match["branch"]) // 4, match["name"], match["code"]))
    assert {name for _, name, _ in drawn} == set(errors.__all__)
    above = {}
    for depth, name, code in drawn:
        cls = getattr(errors, name)
        if depth:
            assert cls.__base__.__name__ == above[depth - 1]
        if code:
            assert cls.exit_code == int(code)
        above[depth] = name


@pytest.mark.parametrize("name", errors.__all__)
def test_error_survives_pickling(name):
    cls = getattr(errors, name)
    error = (
        cls("model", "resnet", ["resnet18"])
        if cls is UnknownNameError
        else cls("a.h5: cut short", expected="a whole file", hint="Convert again")
    )
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is cls
    assert str(back) == str(error)
    assert isinstance(back, EvferError)


def test_message_has_three_parts():
    error = EvferError("a.h5: cut short", expected="a whole file", hint="Convert again")
    assert str(error) == "a.h5: cut short; expected a whole file. Convert again."
    assert str(EvferError("no clip")) == "no clip."


def test_unknown_name_names_the_nearest():
    error = UnknownNameError("model", "resnet", ["spiking-fer", "resnet18"])
    assert str(error) == (
        'unknown model "resnet"; expected one of resnet18, spiking-fer. Did you mean "resnet18"?'
    )
