"""The driver itself is stopped, killed, or cannot write: nothing is lost and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from fuzz.interrupts import handled, held
from fuzz.isolation.kernel import carrying
from fuzz.isolation.tests.conftest import until
from fuzz.regression import load, regressions_in
from fuzz.tests.test_faults import DOCUMENT
from fuzz.tests.torchless import finish, start

RUN = ["run", "--property", "no_crash", "--seed", "3"]
ABORT = ["--plant", "fault-abort"]
SLOW = {"FAKE_TARGET_SECONDS": "0.2"}
MARK = "ROPEFUZZ_TEST_MARK"

AT_FSYNC = """
import os
real = os.fsync
def fsync(handle):
    {deed}
os.fsync = fsync
"""
FULL = AT_FSYNC.format(deed="raise OSError(28, os.strerror(28))")
KILLED = AT_FSYNC.format(deed="os.kill(os.getpid(), 9)")
NEVER_ENDS = """
import time
from fuzz.isolation import preloaded
preloaded.Preloaded.end = lambda self, at_once=False: time.sleep(60)
"""


def come_of(mark: str) -> list[int]:
    """The living processes that carry a mark in their environment."""
    return carrying(MARK, mark)


def begun(folder: Path, *arguments: str, first: str = "", **environment: str) -> Any:
    """Start a run and wait until its first case is underway."""
    mark = {MARK: folder.name}
    process = start(folder, *RUN, *arguments, first=first, **mark, **environment)

    def underway() -> bool:
        return any(p.stat().st_size for p in folder.glob(".ropefuzz/running-*.json"))

    assert until(underway, 30)
    return process


def documented(line: str) -> bool:
    return f"`{line}`" in DOCUMENT.read_text()


def test_ctrl_c_while_searching_ends_the_run_with_its_summary(tmp_path: Path):
    process = begun(tmp_path, **SLOW)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, err) == (3, "")
    line = "stopped by Ctrl-C or SIGTERM; what was found until then is kept"
    assert line in out
    assert documented(line)
    assert "the same cases again: ropefuzz run" in out
    assert until(lambda: not come_of(tmp_path.name))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_while_shrinking_keeps_the_smallest_case_so_far(tmp_path: Path, number: int):
    process = begun(tmp_path, *ABORT, **SLOW)
    images: set[str] = set()

    def made_smaller() -> bool:
        # Several cases with an image one after the other: that is no longer the search.
        for path in tmp_path.glob(".ropefuzz/running-*.json"):
            text = path.read_text()
            images.update([text] if '"image"' in text else [])
        return len(images) >= 3

    assert until(made_smaller, 30)
    process.send_signal(number)
    code, out, err = finish(process)
    assert (code, err) == (1, ""), out
    assert "FINDING (unconfirmed) no_crash (crash): the worker died by SIGABRT" in out
    assert "  confirmed           no: the run was stopped before\n" in out
    (path,) = regressions_in(tmp_path / "regressions")
    assert load(path).signature.what == "SIGABRT"
    assert until(lambda: not come_of(tmp_path.name))


def test_a_second_ctrl_c_ends_the_process_at_once_and_all_it_started(tmp_path: Path):
    process = begun(tmp_path, first=NEVER_ENDS, **SLOW)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    code, _, err = finish(process)
    assert time.monotonic() - began < 5
    line = "ropefuzz: stopped at once; what was saved before is kept"
    assert (code, err) == (130, f"{line}\n")
    assert documented(line)
    assert until(lambda: not come_of(tmp_path.name))


def test_a_killed_driver_leaves_no_process_and_the_next_run_names_its_case(tmp_path: Path):
    process = begun(tmp_path, *ABORT, **SLOW)
    process.kill()
    process.wait(10)
    process.communicate()
    assert until(lambda: not come_of(tmp_path.name))
    assert list((tmp_path / "regressions").rglob("*.json")) == []
    code, out, _ = finish(start(tmp_path, *RUN, "--cases", "3"))
    (kept,) = (tmp_path / ".ropefuzz").glob(f"died-{process.pid}-*.json")
    line = (
        "an earlier run (process N) ended in the middle of checking no_crash; its case is kept: "
        "ropefuzz replay .ropefuzz/died-N.json"
    )
    said = line.replace("died-N.json", kept.name).replace(" N)", f" {process.pid})")
    assert said in out.splitlines()
    assert documented(line)
    assert code == 0
    code, out, _ = finish(start(tmp_path, "replay", str(kept)))
    assert out.startswith("FIXED")


def test_a_driver_killed_while_shrinking_leaves_the_smallest_failing_case(tmp_path: Path):
    process = begun(tmp_path, *ABORT, **SLOW)

    def in_hand() -> bool:
        return any('"in_hand":{' in p.read_text() for p in tmp_path.glob(".ropefuzz/running-*"))

    assert until(in_hand, 30)
    process.kill()
    process.communicate()
    code, out, _ = finish(start(tmp_path, *RUN, "--cases", "3"))
    assert code == 0
    (kept,) = (tmp_path / ".ropefuzz").glob("failed-*.json")
    line = (
        "it was making a failure smaller; the smallest case so far is kept: ropefuzz replay "
        ".ropefuzz/failed-N.json"
    )
    assert line.replace("failed-N.json", kept.name) in out.splitlines()
    assert documented(line)
    code, out, _ = finish(start(tmp_path, "replay", str(kept), "--plant", "fault-abort"))
    assert (code, out.split()[0]) == (1, "FAILED")


def test_a_full_disk_loses_no_finding(tmp_path: Path):
    """The run says so, prints the case, and goes on to its last one."""
    process = start(tmp_path, *RUN, *ABORT, "--cases", "10", first=FULL)
    code, out, err = finish(process)
    assert (code, err) == (1, "")
    line = "not saved           could not be saved: [Errno 28] No space left on device"
    assert f"  {line}\n" in out
    assert documented(line)
    (case,) = [row.split("the case")[1] for row in out.splitlines() if "  the case " in row]
    assert json.loads(case) == {"rows": [[{"image": [1, 1]}]]}
    assert "10 cases in" in out
    assert [p for p in (tmp_path / "regressions").rglob("*") if p.is_file()] == []


def test_a_driver_killed_while_saving_leaves_no_half_written_file(tmp_path: Path):
    process = start(tmp_path, *RUN, *ABORT, "--cases", "10", first=KILLED)
    code, _, _ = finish(process)
    assert code == -signal.SIGKILL
    assert [p for p in (tmp_path / "regressions").rglob("*") if p.is_file()] == []


def test_two_runs_share_a_folder(tmp_path: Path):
    """Both tell what they found, and one whole file remains."""
    pair = [start(tmp_path, *RUN, *ABORT, "--cases", "10") for _ in range(2)]
    ends = [finish(process) for process in pair]
    assert [(code, err) for code, _, err in ends] == [(1, "")] * 2
    assert all("FINDING no_crash (crash)" in out for _, out, _ in ends)
    (path,) = regressions_in(tmp_path / "regressions")
    assert load(path).signature.what == "SIGABRT"
    assert [p for p in (tmp_path / "regressions").rglob("*") if p.is_file()] == [path]
    said = "".join(out for _, out, _ in ends)
    assert said.count("(saved before, with a case no larger)") == 1
    assert documented("(saved before, with a case no larger)")


def _save_and_press(times: int, done: list[str]) -> None:
    with held():
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        done.append("saved")


def test_ctrl_c_while_a_finding_is_saved_waits_until_it_is():
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _save_and_press(1, done)
    assert done == ["saved"]


def test_a_second_ctrl_c_while_a_finding_is_saved_waits_for_nothing():
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _save_and_press(2, done)
    assert done == []


def test_a_signal_that_was_told_to_be_ignored_stays_ignored():
    """``nohup ropefuzz run`` outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handled(), held():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.01)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_ctrl_c_holding_it_off_changes_nothing():
    before = signal.getsignal(signal.SIGINT)
    with held():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
