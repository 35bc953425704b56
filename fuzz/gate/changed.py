"""The statements that differ between two releases, and which of them have run.

What counts is what Python runs: comments, docstrings, formatting and the order of functions do not.
Code outside of functions runs when a module is imported, so it is not among them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final, TypeAlias

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_NO_CODE: Final = (ast.Global, ast.Nonlocal, ast.Pass)


@dataclass(frozen=True, slots=True, order=True)
class Statement:
    """A statement of the candidate that the baseline does not have there.

    Attributes:
        file: its file, below transformers' folder.
        line: its first line.
        end: its last line; of a compound statement, that of its head.
        function: the function it is in, with its classes.
    """

    file: str
    line: int
    end: int
    function: str


@dataclass(slots=True)
class Reach:
    """How much of what changed has run.

    Attributes:
        files: files that were compared.
        statements: what differs.
        reached: those of them that have run in the candidate.
        latest: how many the latest check ran.
    """

    files: set[str] = field(default_factory=set)
    statements: set[Statement] = field(default_factory=set)
    reached: set[Statement] = field(default_factory=set)
    latest: int = 0

    def compare(self, baseline: Path, candidate: Path, names: Iterable[str]) -> None:
        """Add what differs between files of two releases.

        Args:
            baseline: transformers' folder in the baseline.
            candidate: likewise, in the candidate.
            names: files below it.

        Raises:
            OSError: a file of the candidate cannot be read.
            SyntaxError: this Python cannot read one.
        """
        for name in sorted(set(names) - self.files):
            before = baseline / name
            old = before.read_text(encoding="utf-8") if before.is_file() else ""
            new = (candidate / name).read_text(encoding="utf-8")
            self.statements.update(changed(name, old, new))
            self.files.add(name)

    def add(self, other: Reach) -> None:
        """Take in what was compared and what ran elsewhere."""
        self.files |= other.files
        self.statements |= other.statements
        self.reached |= other.reached

    def note(self, lines: Mapping[str, Iterable[int]]) -> None:
        """Take in the lines that a check ran, by file."""
        ran = {name: set(numbers) for name, numbers in lines.items()}
        hit = {
            s
            for s in self.statements
            if s.file in ran and not ran[s.file].isdisjoint(range(s.line, s.end + 1))
        }
        self.latest = len(hit)
        self.reached |= hit

    def missed(self) -> list[tuple[str, str, list[Statement]]]:
        """Return what has not run, by file and function, in the order of the files."""
        found: dict[tuple[str, str], list[Statement]] = {}
        for statement in sorted(self.statements - self.reached):
            found.setdefault((statement.file, statement.function), []).append(statement)
        return [(file, function, some) for (file, function), some in found.items()]


def changed(name: str, before: str, after: str) -> list[Statement]:
    """Return the statements in functions of a file that differ from an earlier text of it.

    Where statements are only gone, the one that comes next stands for them.

    Args:
        name: the file, for what is returned.
        before: its earlier text, "" where there was none.
        after: its text.

    Raises:
        SyntaxError: one of them is no Python of this version.
    """
    old = dict(_functions(ast.parse(before)))
    found = []
    for function, node in _functions(ast.parse(after)):
        ours = list(_statements(node))
        theirs = list(_statements(old[function])) if function in old else []
        for index in _differing([t for t, _, _ in theirs], [t for t, _, _ in ours]):
            _, line, end = ours[index]
            found.append(Statement(name, line, end, function))
    return found


def _differing(before: list[str], after: list[str]) -> list[int]:
    if not before:
        return list(range(len(after)))
    found: set[int] = set()
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, _, _, start, end in matcher.get_opcodes():
        if tag in ("replace", "insert"):
            found.update(range(start, end))
        elif tag == "delete" and after:
            found.add(min(start, len(after) - 1))
    return sorted(found)


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, _Function]]:
    """Find the outermost functions, also those in classes and under conditions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{prefix}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        else:
            yield from _functions(node, prefix)


def _statements(function: _Function) -> Iterator[tuple[str, int, int]]:
    """Give the statements inside a function: what each says, its first and its last line."""
    # Defaults are evaluated on import, but another default is another function.
    signature = ast.dump(function.args)
    first = True
    for node in _inside(function.body):
        if isinstance(node, _NO_CODE) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            continue
        if isinstance(node, ast.AnnAssign) and node.value is None:
            continue
        text = _head(node)
        if first:
            # A new signature shows at the first thing that runs under it.
            text, first = f"{signature} {text}", False
        body = getattr(node, "body", None) or getattr(node, "cases", None)
        end = node.end_lineno or node.lineno
        if isinstance(body, list):
            inner = (
                body[0].pattern.lineno if isinstance(body[0], ast.match_case) else body[0].lineno
            )
            end = max(node.lineno, inner - 1)
        yield text, node.lineno, end


def _inside(body: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.stmt):
            yield node
        for name in ("body", "handlers", "cases", "orelse", "finalbody"):
            inner = getattr(node, name, None)
            if isinstance(inner, list):
                yield from _inside(inner)


def _head(node: ast.stmt) -> str:
    """Return what a statement says itself, without those inside it."""
    parts = [type(node).__name__]
    for name, value in ast.iter_fields(node):
        if name in ("body", "orelse", "finalbody", "type_comment"):
            continue
        if name == "handlers":
            value = [h.type for h in value if h.type is not None]
        if name == "cases":
            value = [c.pattern for c in value]
        values = value if isinstance(value, list) else [value]
        said = [ast.dump(v) if isinstance(v, ast.AST) else repr(v) for v in values]
        parts.append(f"{name}={said}")
    return " ".join(parts)
