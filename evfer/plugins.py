"""Names that stand for objects: a built-in table first, then outsiders' entry points.

Groups are entry-point groups: `evfer.datasets`, `evfer.models` and `evfer.losses`. A package
adds a model with

    [project.entry-points."evfer.models"]
    my-net = "my_package.net:build"

and a script without packaging says `my_module:build`. A plug-in that cannot be loaded is named
by `available` and harms nobody else. What an outsider's code raises while evfer runs it is told
as its own fault, with file and line; see `blaming_outsiders`.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from evfer.errors import ConfigError, EvferError, UnknownNameError
from evfer.files import sha256_file

__all__ = [
    "BUILTIN",
    "Plugin",
    "available",
    "blaming_outsiders",
    "canonical",
    "explain_fault",
    "file_digest",
    "load",
    "names",
    "source_digest",
]

BUILTIN: dict[str, dict[str, str]] = {
    "evfer.datasets": {
        "adfes": "evfer.datasets.adfes:ADFES",
        "casia": "evfer.datasets.casia:Casia",
        "ck+": "evfer.datasets.ckplus:CKPlus",
        "demo": "evfer.datasets.demo:DemoHeads",
        "folder": "evfer.datasets.folder:Folder",
        "mmi": "evfer.datasets.mmi:MMI",
    },
    "evfer.losses": {"cross_entropy": "torch.nn.functional:cross_entropy"},
    "evfer.models": {
        "cnn1": "evfer.models.cnn:cnn1",
        "logistic": "evfer.models.baselines:logistic",
        "majority": "evfer.models.baselines:majority",
        "resnet18": "evfer.models.resnet:resnet18",
        "spiking-fer": "evfer.models.sew_resnet:spiking_fer",
    },
}

_ALIASES = {
    "evfer.datasets": {"ckplus": "ck+", "ck": "ck+", "oulu-casia": "casia", "oulu": "casia"},
}
"""Other names that people write; `canonical` gives the one that files are named after."""


@dataclass(frozen=True)
class Plugin:
    """One name of a group.

    Args:
        name: what the user writes.
        target: the object, as `module:attribute`.
        origin: "evfer", or the distribution that brings it.
    """

    name: str
    target: str
    origin: str


def available(group: str) -> list[Plugin]:
    """List a group's names, built-in ones first; nothing is imported.

    Raises:
        ConfigError: if two packages, or a package and evfer, use one name.
    """
    found = {name: Plugin(name, target, "evfer") for name, target in BUILTIN[group].items()}
    for point in metadata.entry_points(group=group):
        origin = point.dist.name if point.dist else "an unnamed package"
        if point.name in found:
            raise ConfigError(
                f'the name "{point.name}" of {group} is used by {found[point.name].origin} '
                f"and by {origin}",
                expected="one owner for each name",
                hint="Uninstall one of them, or name the object as module:attribute",
            )
        found[point.name] = Plugin(point.name, point.value, origin)
    return list(found.values())


def names(group: str) -> list[str]:
    """Give a group's names."""
    return [plugin.name for plugin in available(group)]


def canonical(group: str, name: str) -> str:
    """Give the name that an alias stands for, or the name itself, in any case of its letters."""
    plain = name.casefold()
    return _ALIASES.get(group, {}).get(plain, plain if plain in BUILTIN.get(group, {}) else name)


def load(group: str, name: str) -> Any:
    """Import the object that a name stands for.

    Args:
        group: the entry-point group.
        name: a name of that group, or `module:attribute`.

    Raises:
        UnknownNameError: if no such name exists.
        ConfigError: if the object cannot be imported; the message says why.
    """
    kind = group.removeprefix("evfer.").removesuffix("s").replace("dataset", "data set")
    kind = kind.replace("losse", "loss")
    name = canonical(group, name)
    if ":" in name:
        target = name
    else:
        targets = {plugin.name: plugin.target for plugin in available(group)}
        if name not in targets:
            raise UnknownNameError(kind, name, targets)
        target = targets[name]
    return _import(kind, name, target)


def source_digest(group: str, name: str) -> str:
    """Digest the sources of an outsider's object, so that a change to them shows.

    Returns:
        See `file_digest`; empty for evfer's own, which its version names.
    """
    name = canonical(group, name)
    if name in BUILTIN[group]:
        return ""
    value = load(group, name)
    targets = {plugin.name: plugin.target for plugin in available(group)} | {name: name}
    target = name if ":" in name else targets[name]
    return file_digest(value, sys.modules.get(target.partition(":")[0]))


def file_digest(value: Any, *more: ModuleType | None) -> str:
    """Digest the source files that an object is made from.

    These are the file that holds it, and all that this one imports, directly or not, outside the
    installed packages: modules of its own package or folder. Files without a statement do not
    count.

    Args:
        value: a function, class, instance or partial function.
        more: modules that take part too, such as the one that it is imported from.

    Returns:
        SHA-256 of the one file; of names and digests of all where there are several; of the
        object's source where it is in no file; empty where there is no source.
    """
    while isinstance(value, functools.partial):
        value = value.func
    home = inspect.getmodule(value)
    if home is None or not _is_foreign(home):
        home = inspect.getmodule(type(value)) if not isinstance(value, ModuleType) else home
    files = _source_files([module for module in (home, *more) if module])
    if not files:
        try:
            return hashlib.sha256(inspect.getsource(value).encode()).hexdigest()
        except (OSError, TypeError):
            return ""
    digests = {name: sha256_file(file) for name, file in files.items()}
    if len(set(digests.values())) == 1:
        return next(iter(digests.values()))
    text = "\n".join(f"{name} {digests[name]}" for name in sorted(digests))
    return hashlib.sha256(text.encode()).hexdigest()


def _source_files(start: list[ModuleType]) -> dict[str, Path]:
    """Give the source files of modules and of all that they import, by the modules' names."""
    packages = {module.__name__.partition(".")[0] for module in start}
    files: dict[str, Path] = {}
    waiting, seen = list(start), set()
    while waiting:
        module = waiting.pop()
        if module.__name__ in seen:
            continue
        seen.add(module.__name__)
        file = getattr(module, "__file__", None)
        if module not in start and not (
            module.__name__.partition(".")[0] in packages or _is_foreign(module)
        ):
            continue
        if not file or not Path(file).is_file():
            continue
        path = Path(file)
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # compiled, so nothing can be followed
            files[module.__name__] = path
            continue
        if any(not isinstance(node, ast.Expr) for node in tree.body):
            files[module.__name__] = path
        names = {*_imported_names(tree, module)}
        # what a name made at run time has brought in
        for value in [*vars(module).values()]:
            other = value if isinstance(value, ModuleType) else None
            names.add(other.__name__ if other else str(getattr(value, "__module__", "")))
        # a package runs before its parts
        names |= {name.rpartition(".")[0] for name in (*names, module.__name__)}
        waiting += [other for name in sorted(names) if (other := _find_module(name, packages))]
    # a script has one name here and another one in the processes that it starts
    main = files.pop("__mp_main__", None)
    return files | ({"__main__": main} if main else {})


def _imported_names(tree: ast.AST, module: ModuleType) -> Iterator[str]:
    """Give full names of what a module imports, inside functions too; some may be no modules."""
    package = module.__package__ or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - max(node.level - 1, 0)]
            parts = [*(base if node.level else ()), *([node.module] if node.module else ())]
            yield ".".join(parts)
            yield from (".".join((*parts, alias.name)) for alias in node.names)
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    name, dots = argument.value.lstrip("."), argument.value.startswith(".")
                    yield f"{package}.{name}" if dots else name


def _find_module(name: str, packages: set[str]) -> ModuleType | None:
    """Give a module by name; one that a function will import only later is imported now."""
    if name in sys.modules or not name:
        return sys.modules.get(name)
    parent, _, last = name.rpartition(".")
    above = sys.modules.get(parent)
    if parent and (above is None or not hasattr(above, "__path__") or hasattr(above, last)):
        return None
    if parent and not (parent.partition(".")[0] in packages or _is_foreign(above)):
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin or not _is_foreign_file(spec.origin):
        return None
    # not run: only its file and its name are asked for
    module = importlib.util.module_from_spec(spec)
    module.__file__ = spec.origin
    return module


def _is_foreign(module: ModuleType | None) -> bool:
    """Tell whether a module is neither evfer's nor of the environment."""
    name = module.__name__.partition(".")[0] if module else "evfer"
    file = getattr(module, "__file__", None)
    return name != "evfer" and bool(file) and _is_foreign_file(str(file))


def _is_foreign_file(file: str) -> bool:
    path = Path(file)
    if {"site-packages", "dist-packages"} & {*path.parts} or not path.is_file():
        return False
    library = Path(sysconfig.get_path("stdlib")).resolve()
    return library not in path.resolve().parents


_LOADED: set[str] = set()
"""Top-level names of the modules that outsiders' objects have been loaded from."""


@contextlib.contextmanager
def blaming_outsiders() -> Iterator[None]:
    """Tell what an outsider's code raises in the block as the fault of that code.

    `sys.exit` is an error there like any other. What evfer's own code raises passes unchanged, and
    so do the errors that it knows.

    Raises:
        ConfigError: it names the file and line of the outsider's code, and what it raised.
    """
    try:
        yield
    except EvferError:
        raise
    except (Exception, SystemExit) as error:
        fault = explain_fault(error)
        if fault is None:
            raise
        raise fault from error


def explain_fault(error: BaseException) -> ConfigError | None:
    """Give the error of outsiders' code as one; None where evfer's own code failed."""
    inside, culprit = False, None
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = str(frame.f_globals.get("__name__", ""))
        top = name.partition(".")[0]
        inside = inside or top == "evfer"
        # frames before evfer's first one called it
        if inside and top != "evfer" and _is_outsiders(top, frame.f_code):
            culprit = (frame.f_code, line)
    if culprit is None:
        return None
    code, line = culprit
    return ConfigError(
        f"{code.co_filename}, line {line}, in {code.co_name}: {_describe_error(error)}",
        expected="code that does its work without an error",
        hint="This code is not evfer's: mend it there. evfer --debug shows all calls",
    )


def _is_outsiders(top: str, code: CodeType) -> bool:
    if _is_foreign_file(code.co_filename):
        return True
    points = (point for group in BUILTIN for point in metadata.entry_points(group=group))
    return top in _LOADED or any(re.split("[.:]", point.value)[0] == top for point in points)


def _describe_error(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({'' if error.code is None else repr(error.code)})"
    if isinstance(error, SyntaxError):
        return f"SyntaxError in {error.filename}, line {error.lineno}: {error.msg}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _import(kind: str, name: str, target: str) -> Any:
    module_name, _, attribute = target.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            value = getattr(value, part)
    except (Exception, SystemExit) as error:
        fault = explain_fault(error)
        where = f" ({fault.found.partition(': ')[0]})" if fault else ""
        raise ConfigError(
            f'the {kind} "{name}" cannot be loaded from {target}: {_describe_error(error)}{where}'
            if not isinstance(error, ImportError | AttributeError | ValueError)
            else f'the {kind} "{name}" cannot be loaded from {target}: {error}{where}',
            expected="an importable module:attribute",
            hint="Is its folder on PYTHONPATH, or its package installed here?"
            if fault is None
            else "Mend it there",
        ) from error
    if not module_name.startswith("evfer."):
        _LOADED.add(module_name.partition(".")[0])
    return value
