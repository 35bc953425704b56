"""Nothing is left behind: not by interrupts, not by dead drivers, not by dead workers."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fuzz.isolation.journal import Journal, left_behind
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.tests.conftest import Make, alive, in_session, until
from fuzz.target import Target, target_to_plain
from strategies.case import Case, to_plain

CASE = Case(seed=7)

_DRIVER = """
import os, sys
from pathlib import Path
from fuzz.isolation.journal import Journal
from fuzz.isolation.supervisor import Supervisor
from fuzz.target import Target
from strategies.case import Case

journal = Journal(Path(sys.argv[2]))
supervisor = Supervisor(
    Target(family="ok"), worker_module="fuzz.isolation.tests.fake_worker", journal=journal
)
ready = supervisor.start()
daemon = supervisor.check("daemon", Case()).message
grandchild = supervisor.check("grandchild", Case()).message
print(ready.pid, daemon, grandchild, flush=True)
supervisor.check(sys.argv[1], Case(seed=7))
"""


@pytest.fixture
def driver(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _DRIVER, "hang", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("stuck", [False, True], ids=["preload-works", "preload-stuck"])
def test_a_killed_driver_leaves_nobody_and_its_case_on_disk(
    driver: subprocess.Popen[str], tmp_path: Path, stuck: bool
) -> None:
    assert driver.stdout is not None
    preloaded, daemon, grandchild = map(int, driver.stdout.readline().split())

    def hangs() -> bool:
        (path,) = tmp_path.glob("running-*.json")
        text = path.read_text()
        return '"property":"hang"' in text

    assert until(hangs)
    assert alive(daemon)
    assert len(in_session(preloaded)) >= 4
    if stuck:
        os.kill(preloaded, signal.SIGSTOP)
    driver.kill()
    driver.wait(10)
    assert until(lambda: not in_session(preloaded))
    assert until(lambda: not alive(daemon) and not alive(grandchild))
    (record,), _ = left_behind(tmp_path)
    assert (record.property, record.case) == ("hang", to_plain(CASE))
    driver.stdout.close()


def test_a_driver_killed_while_loading_leaves_nobody(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    code = (
        "from fuzz.isolation.supervisor import Supervisor; from fuzz.target import Target; "
        "Supervisor(Target(family='load-hangs'), "
        "worker_module='fuzz.isolation.tests.fake_worker').start()"
    )
    environment = {**os.environ, "FAKE_WORKER_MARKER": str(marker)}
    driver = subprocess.Popen([sys.executable, "-c", code], env=environment)
    assert until(marker.exists)
    (preloaded,) = map(
        int, Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()
    )
    assert len(in_session(preloaded)) == 2
    driver.kill()
    driver.wait(10)
    assert until(lambda: not in_session(preloaded))


def test_an_interrupted_start_leaves_nobody(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    monkeypatch.setenv("FAKE_WORKER_MARKER", str(marker))

    def interrupt() -> None:
        until(marker.exists)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        make("load-hangs").start()
    thread.join()
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert [pid for pid in children if "fake_worker" in _command(pid)] == []


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_an_interrupted_check_ends_at_once_and_the_supervisor_stays_usable(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_WORKER_DRIVER", str(os.getpid()))
    supervisor = make()
    supervisor.start()
    for check in (supervisor.check, supervisor.check_fresh):
        pid = supervisor.worker_pid
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            check("interrupt-driver-and-hang", CASE)
        assert time.monotonic() - started < 5
        assert supervisor.check("pass", CASE).verdict == "pass"
        assert supervisor.check_fresh("pass", CASE).verdict == "pass"
        if check == supervisor.check:
            assert pid is not None
            assert until(lambda pid=pid: not alive(pid))  # type: ignore[misc] # bound now
    assert supervisor.preloads == 1


@pytest.mark.parametrize("deed", ["grandchild", "daemon"])
def test_closing_takes_along_what_a_worker_started(supervisor: Supervisor, deed: str) -> None:
    started = int(supervisor.check(deed, CASE).message)
    assert alive(started)
    supervisor.close()
    assert until(lambda: not alive(started))


def test_what_a_dead_worker_had_started_is_killed_at_once(supervisor: Supervisor) -> None:
    daemon = int(supervisor.check("daemon", CASE).message)
    assert supervisor.check("abort", CASE).verdict == "crash"
    assert until(lambda: not alive(daemon))


def test_no_descriptors_pile_up_over_many_deaths(supervisor: Supervisor) -> None:
    def held() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    supervisor.check("abort", CASE)
    before = held()
    for _ in range(10):
        supervisor.check("abort", CASE)
        supervisor.check_fresh("pass", CASE)
    assert held() <= before + 2


def test_a_run_goes_on_without_its_journal_when_the_disk_is_full(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    notices: list[str] = []
    with Journal(tmp_path) as journal:
        supervisor = make(journal=journal, notify=notices.append)
        supervisor.start()
        monkeypatch.setattr(os, "pwrite", full)
        assert [supervisor.check("pass", CASE).verdict for _ in range(3)] == ["pass"] * 3
    (notice,) = notices
    assert "can no longer be written down ([Errno 28] No space left on device)" in notice


def test_the_case_is_on_disk_before_it_runs(make: Make, tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        supervisor = make(journal=journal)
        supervisor.start()
        supervisor.check("abort", CASE)
        data = json.loads(journal.path.read_text())
    assert data["property"] == "abort"
    assert data["case"] == to_plain(CASE)
    assert data["target"] == target_to_plain(Target(family="ok"))
    assert list(tmp_path.iterdir()) == []
