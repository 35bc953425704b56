"""One preloaded process for one target after another, and never one that is not in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.idle import Idle
from fuzz.isolation.tests.conftest import Make, alive, in_session, until
from strategies.case import Case


@pytest.fixture
def idle() -> Iterator[Idle]:
    with Idle() as kept:
        yield kept


def used(make: Make, idle: Idle, family: str = "ok", **options: float) -> int:
    """Check a case of a target, and return the process id of what was preloaded."""
    with make(family, idle=idle, **options) as supervisor:
        pid = supervisor.start().pid
        assert supervisor.check("pass", Case()).verdict == "pass"
        assert supervisor.check_fresh("pass", Case()).verdict == "pass"
    return pid


def test_the_next_target_is_loaded_by_the_process_that_is_there(make: Make, idle: Idle) -> None:
    with make(idle=idle) as first:
        pid = first.start().pid
        worker = first.worker_pid
    assert worker is not None
    assert not alive(worker)
    with make("load-slowly", idle=idle) as second:
        ready = second.start()
        assert (ready.pid, ready.versions["fake"]) == (pid, "1.0")
        assert second.check("pass", Case()).verdict == "pass"
    assert in_session(pid)


def test_at_the_end_nobody_is_left(make: Make) -> None:
    with Idle() as idle:
        pid = used(make, idle)
        assert alive(pid)
    assert until(lambda: not in_session(pid))


def test_a_target_that_cannot_be_had_is_told_and_the_next_one_runs(make: Make, idle: Idle) -> None:
    pid = used(make, idle)
    with pytest.raises(SetupProblem, match="needs a newer release") as caught:
        make("load-usage", idle=idle).start()
    assert caught.value.kind == "usage"
    assert used(make, idle) != pid


def test_what_loads_only_in_a_process_of_its_own_gets_one(make: Make, idle: Idle) -> None:
    pid = used(make, idle)
    assert used(make, idle, "load-first") != pid


def test_a_process_that_died_while_it_was_idle_is_not_given_out(make: Make, idle: Idle) -> None:
    pid = used(make, idle)
    os.kill(pid, signal.SIGKILL)
    assert used(make, idle) != pid


def test_a_worker_that_died_or_hung_spoils_nothing(make: Make, idle: Idle) -> None:
    with make(idle=idle) as supervisor:
        pid = supervisor.start().pid
        assert supervisor.check("abort", Case()).verdict == "crash"
    assert used(make, idle) == pid


def test_a_process_started_with_other_settings_is_left_alone(make: Make, idle: Idle) -> None:
    pid = used(make, idle)
    assert used(make, idle, setup_seconds=77.0) != pid
    assert used(make, idle) == pid


def test_a_fork_does_not_talk_to_the_processes_of_its_parent(
    make: Make, idle: Idle, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = used(make, idle)
    forked = Idle(dict(idle.processes))
    with monkeypatch.context() as patch, forked:
        patch.setattr(os, "getpid", lambda: 1)
        assert used(make, forked) != pid
        assert (forked.owner, len(forked.processes)) == (1, 1)
    assert used(make, idle) == pid


def test_of_many_kinds_only_the_latest_are_kept(make: Make, idle: Idle) -> None:
    pids = [used(make, idle, setup_seconds=70.0 + n) for n in range(3)]
    assert until(lambda: not in_session(pids[0]))
    assert all(map(alive, pids[1:]))
