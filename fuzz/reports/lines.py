"""The JSON lines of a run: a first line that says what the file is, then an event a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from fuzz.errors import UsageProblem
from fuzz.events import Event, Gated, Notice, RunStarted
from fuzz.reports.plain import from_plain, to_plain

FORMAT_VERSION: Final = 1
HEAD: Final = {"format_version": FORMAT_VERSION, "kind": "ropefuzz events"}


def line_of(data: dict[str, Any]) -> str:
    """Return one line of JSON, of characters that every reader takes."""
    return json.dumps(data, sort_keys=True) + "\n"


def written(event: Event) -> str:
    """Return an event as a line."""
    return line_of(to_plain(event))


def read(path: Path) -> list[Event]:
    """Read the events of a file; one that was cut off in its last line is read up to there.

    Raises:
        UsageProblem: it is missing, no such file, of another version, or damaged elsewhere.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageProblem(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageProblem(f"{path}: expected JSON lines of ropefuzz run --report") from None
    head = _parsed(lines[0]) if lines else None
    if head is None or head.get("kind") != HEAD["kind"]:
        raise UsageProblem(f"{path}: expected JSON lines of ropefuzz run --report")
    if head.get("format_version") != FORMAT_VERSION:
        raise UsageProblem(
            f"{path}: format_version {head.get('format_version')!r} is unknown to this release of "
            f"ropefuzz, which reads {FORMAT_VERSION}"
        )
    events: list[Event] = []
    for number, line in enumerate(lines[1:], 2):
        data = _parsed(line)
        if data is None and number == len(lines):
            events.append(Notice(f"{path}: ends in the middle of a line; the run was cut off"))
            break
        try:
            if data is None:
                raise ValueError("no JSON object")
            events.append(from_plain(data))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageProblem(f"{path}: line {number}: no event: {error}") from None
    if not any(isinstance(e, (RunStarted, Gated)) for e in events):
        raise UsageProblem(f"{path}: the run never started, so there is nothing to report")
    return events


def read_all(paths: Iterable[Path]) -> list[Event]:
    """Read the events of several files, one after the other; see :func:`read`."""
    return [event for path in paths for event in read(path)]


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        data = json.loads(line)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
