"""Every event survives a trip through a file; what is no event is refused in a line."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from fuzz.errors import UsageProblem
from fuzz.events import Event, Notice
from fuzz.reports.lines import HEAD, line_of, read, written
from fuzz.reports.plain import KINDS, from_plain, to_plain
from fuzz.reports.tests.events import EVENTS, FAILED


def test_every_class_of_event_is_among_those_that_are_tried():
    assert {type(e) for e in EVENTS} == set(get_args(Event)) == set(KINDS.values())


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: type(e).__name__)
def test_an_event_comes_back_as_it_was(event: Event):
    data = json.loads(json.dumps(to_plain(event)))
    assert from_plain(data) == event
    assert set(data) == {"event", *(f.name for f in fields(event))}


@pytest.mark.parametrize(
    "change",
    [
        {"event": "Nothing"},
        {"path": 3},
        {"note": None},
        {"finding": []},
        {"finding": {"property": "x"}},
    ],
)
def test_what_is_no_event_is_not_made_into_one(change: dict[str, Any]):
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_plain({**to_plain(FAILED), **change})


def file_of(folder: Path, *lines: str) -> Path:
    path = folder / "run.jsonl"
    path.write_text("".join(lines))
    return path


def test_a_file_is_read_back_and_one_that_was_cut_off_up_to_there(tmp_path: Path):
    lines = [line_of(HEAD), *map(written, EVENTS)]
    assert read(file_of(tmp_path, *lines)) == list(EVENTS)
    path = file_of(tmp_path, *lines[:-1], lines[-1][:20])
    cut = Notice(f"{path}: ends in the middle of a line; the run was cut off")
    assert read(path) == [*EVENTS[:-1], cut]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "expected JSON lines of ropefuzz run --report"),
        (['{"format_version": 1}\n'], "expected JSON lines"),
        ([line_of({**HEAD, "format_version": 99})], "format_version 99 is unknown"),
        ([line_of(HEAD), "{}\n", written(EVENTS[1])], "line 2: no event"),
        ([line_of(HEAD), "[\n", written(EVENTS[1])], "line 2: no event: no JSON object"),
        ([line_of(HEAD)], "the run never started"),
    ],
)
def test_a_file_that_is_none_is_refused_in_a_line(tmp_path: Path, lines: list[str], said: str):
    with pytest.raises(UsageProblem) as raised:
        read(file_of(tmp_path, *lines))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(UsageProblem, match="cannot be read: No such file"):
        read(tmp_path / "gone.jsonl")
