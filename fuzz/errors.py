"""Mistakes of a user: one clear line each, exit code 2."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection


class UsageProblem(Exception):
    """What was asked for cannot be done as asked; the message is one line for the user."""


class CannotJudge(Exception):
    """What is needed for a verdict cannot be had; the message is one line, the exit code 3."""


def choose(kind: str, name: str, known: Collection[str]) -> str:
    """Return ``name`` if it is known.

    Raises:
        UsageProblem: it is not; the message offers the nearest known name.
    """
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
    raise UsageProblem(f"unknown {kind} {name!r}; {hint}")


def print_error(text: str) -> None:
    """Print one line to stderr, as ``ropefuzz: ...``."""
    print(f"ropefuzz: {text}", file=sys.stderr)
