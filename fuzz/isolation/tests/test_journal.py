"""The record of the running case."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.isolation.journal import Journal, left_behind

_DIE = """
import os, signal, sys
from pathlib import Path
from fuzz.isolation.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.record("first", {"rows": [[{"text": 12345678}]]}, {"family": "a"})
journal.record("last", {"rows": []}, {"family": "b"}, {"property": "p", "case": {"seed": 1}})
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
            assert data["format_version"] == 2


def test_a_clean_close_removes_the_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path, sync=True)
    journal.record("p", {}, {})
    journal.close()
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_the_last_record_of_a_killed_driver_is_found(tmp_path: Path) -> None:
    pid = _leave_one(tmp_path)
    (record,), unreadable = left_behind(tmp_path)
    assert unreadable == []
    assert (record.pid, record.property) == (pid, "last")
    assert (record.case, record.target) == ({"rows": []}, {"family": "b"})
    assert record.in_hand == {"property": "p", "case": {"seed": 1}}
    record.path.unlink()
    assert left_behind(tmp_path) == ([], [])


def test_the_journal_of_a_living_driver_is_left_alone(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.record("p", {}, {})
        assert left_behind(tmp_path) == ([], [])


def test_the_same_process_id_again_hides_no_record(tmp_path: Path) -> None:
    """In a container the next run often has the number of the last one."""
    _leave_one(tmp_path)
    (path,) = tmp_path.iterdir()
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "pid": os.getpid()}))
    with Journal(tmp_path) as journal:
        journal.record("p", {}, {})
        records, _ = left_behind(tmp_path)
    assert [record.path for record in records] == [path]


def test_a_journal_without_a_record_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "running-1.json").write_text("")
    assert left_behind(tmp_path) == ([], [])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"format_version": 1}', "running-1.json: format_version 1 is unknown"),
        ("[]", "running-1.json: format_version None is unknown"),
        ("{", "running-1.json: not JSON"),
        ('{"format_version": 2}', "running-1.json: the field 'pid' is missing"),
        (
            '{"format_version": 2, "pid": 1, "property": "p", "case": {}, "target": {}, '
            '"in_hand": 3}',
            "running-1.json: the field 'in_hand' is not dict",
        ),
    ],
)
def test_what_is_no_journal_is_told_once_by_name_and_hides_no_other(
    tmp_path: Path, text: str, error: str
) -> None:
    _leave_one(tmp_path)
    (tmp_path / "running-1.json").write_text(text)
    (tmp_path / "running-2.json").mkdir()
    records, unreadable = left_behind(tmp_path)
    assert [record.property for record in records] == ["last"]
    assert len(unreadable) == 2
    assert error in unreadable[0]
    assert unreadable[0].endswith("running-1.unreadable)")
    assert left_behind(tmp_path)[1] == []
