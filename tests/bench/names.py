"""How many public names stand for two things, and how much code there is.

    python tests/bench/names.py

Prints each public top-level name (class, function or constant, without underscore, defined and
not imported) that two modules of evfer/ or more define, with the modules; then evfer's lines of
Python without docstrings, comments and blanks. Commands' functions in `cli/` are all named
`command` and do not count. Not a test: it never fails on a figure.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import evfer

PACKAGE = Path(evfer.__file__).parent
SKIPPED = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Give a module's statements, and those under its top-level `if` and `try`."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from top_level([*node.body, *node.orelse])


def public_names(tree: ast.Module) -> set[str]:
    """Give the public names that a module defines at its top level."""
    names = set()
    for node in top_level(tree.body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def code_lines(source: str, tree: ast.Module) -> tuple[int, int]:
    """Count a module's lines without docstrings and blanks, with and without its comments."""
    docstrings: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                docstrings |= set(range(first.lineno, (first.end_lineno or 0) + 1))
    lines: set[int] = set()
    comments: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        span = range(token.start[0], token.end[0] + 1)
        if token.type == tokenize.COMMENT:
            comments |= set(span)
        elif token.type not in SKIPPED:
            lines |= set(span)
    return len((lines | comments) - docstrings), len(lines - docstrings)


def run() -> None:
    """Print both."""
    modules = defaultdict(list)
    with_comments = without = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        counts = code_lines(source, tree)
        with_comments, without = with_comments + counts[0], without + counts[1]
        room = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for name in public_names(tree):
            modules[name].append(room)
    twice = {name: rooms for name, rooms in sorted(modules.items()) if len(rooms) > 1}
    twice.pop("command", None)
    for name, rooms in twice.items():
        print(f"{name:24} {', '.join(rooms)}")
    print(f"\n{len(twice)} public names stand in two modules or more")
    print(f"{with_comments:,} lines without docstrings and blanks, {without:,} without comments")


if __name__ == "__main__":
    run()
