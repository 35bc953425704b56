"""The record of the running case."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.isolation.journal import Journal, JournalError, left_behind

_DIE = """
import os, signal, sys
from pathlib import Path
from fuzz.isolation.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.record("first", {"rows": [[{"text": 12345678}]]}, {"family": "a"})
journal.record("last", {"rows": []}, {"family": "b"})
os.kill(os.getpid(), signal.SIGKILL)
"""


def _leave_one(folder: Path) -> int:
    process = subprocess.Popen([sys.executable, "-c", _DIE, str(folder)])
    process.wait(20)
    return process.pid


def test_the_file_is_json_after_each_write_also_over_a_longer_record(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for width in (100, 3, 50, 200):
            journal.record("p", {"rows": "x" * width}, {})
            data = json.loads(journal.path.read_text())
            assert data["case"] == {"rows": "x" * width}
            assert data["format_version"] == 1


def test_a_clean_close_removes_the_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path, sync=True)
    journal.record("p", {}, {})
    journal.close()
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_the_last_record_of_a_killed_driver_is_found(tmp_path: Path) -> None:
    pid = _leave_one(tmp_path)
    (record,) = left_behind(tmp_path)
    assert (record.pid, record.property) == (pid, "last")
    assert (record.case, record.target) == ({"rows": []}, {"family": "b"})
    record.path.unlink()
    assert left_behind(tmp_path) == []


def test_the_journal_of_a_living_driver_is_left_alone(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.record("p", {}, {})
        assert left_behind(tmp_path) == []


def test_a_number_in_use_by_another_process_does_not_hide_a_record(tmp_path: Path) -> None:
    _leave_one(tmp_path)
    (path,) = tmp_path.iterdir()
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "pid": os.getpid()}))
    assert [record.pid for record in left_behind(tmp_path)] == [os.getpid()]


def test_a_journal_without_a_record_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "running-1.json").write_text("")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"format_version": 2}', r"running-1.json: format_version 2 is unknown"),
        ("[]", r"running-1.json: format_version None is unknown"),
        ("{", r"running-1.json: not JSON"),
        ('{"format_version": 1}', r"running-1.json: the field 'pid' is missing"),
    ],
)
def test_what_is_no_journal_is_refused_by_name(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "running-1.json").write_text(text)
    with pytest.raises(JournalError, match=error):
        left_behind(tmp_path)
