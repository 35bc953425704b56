"""Workers that are interpreters of their own: on request, and where forking does not work."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fuzz.isolation.deadline import Deadline
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.tests.conftest import FAKE, Make, alive, until
from fuzz.target import Target
from strategies.case import Case

CASE = Case()


def _pid(message: str) -> int:
    return int(message.split()[1].rstrip(","))


def test_with_fresh_process_every_case_runs_in_an_interpreter_of_its_own(make: Make) -> None:
    supervisor = make(fresh_process=True)
    supervisor.start()
    assert supervisor.ask({"op": "facts"})["loaded_here"]
    said = [supervisor.check("pass", CASE).message for _ in range(2)]
    said.append(supervisor.check_fresh("pass", CASE).message)
    assert all(text.endswith("request 1") for text in said)
    assert len({_pid(text) for text in said}) == 3
    assert not any(alive(_pid(text)) for text in said)


@pytest.mark.parametrize(
    ("deed", "verdict"), [("abort-in-model", "crash"), ("exit", "crash"), ("kill-self", "oom")]
)
def test_a_death_is_told_from_an_interpreter_as_from_a_fork(
    make: Make, supervisor: Supervisor, deed: str, verdict: str
) -> None:
    fresh = make(fresh_process=True)
    fresh.start()
    outcome = fresh.check(deed, CASE)
    assert outcome.verdict == verdict
    assert outcome.signature == supervisor.check(deed, CASE).signature
    assert fresh.check("pass", CASE).verdict == "pass"


def test_closing_leaves_no_interpreter(make: Make) -> None:
    supervisor = make(fresh_process=True)
    supervisor.start()
    pids = [supervisor.ask({"op": "facts"})["pid"]]
    pids += [_pid(supervisor.check("pass", CASE).message)]
    supervisor.close()
    assert until(lambda: not any(alive(pid) for pid in pids))


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("fork-hangs", "a forked worker did nothing for"),
        ("fork-breaks", "Cannot re-initialize CUDA in forked subprocess"),
    ],
)
def test_where_forks_do_not_get_ready_interpreters_take_their_place_and_this_is_said_once(
    make: Make, family: str, reason: str
) -> None:
    notices: list[str] = []
    supervisor = make(family, idle_seconds=0.5, notify=notices.append)
    supervisor.start()
    assert supervisor.ask({"op": "facts"})["loaded_here"]
    assert supervisor.check("abort", CASE).verdict == "crash"
    assert supervisor.check("pass", CASE).verdict == "pass"
    assert supervisor.check_fresh("pass", CASE).verdict == "pass"
    (notice,) = notices
    assert notice.startswith("forked workers do not get ready here")
    assert reason in notice


def test_a_worker_that_is_at_work_is_not_taken_for_a_stuck_fork(make: Make) -> None:
    notices: list[str] = []
    supervisor = make("prepare-works-long", idle_seconds=0.4, notify=notices.append)
    supervisor.start()
    assert not supervisor.ask({"op": "facts"})["loaded_here"]
    assert notices == []


def test_a_target_that_cannot_be_prepared_either_way_is_told_with_its_own_error(
    make: Make,
) -> None:
    notices: list[str] = []
    with pytest.raises(SetupProblem, match="must be divisible"):
        make("prepare-broken", notify=notices.append).start()
    assert notices == []


@pytest.mark.parametrize(("device", "ahead"), [("cpu", True), ("cuda:0", False)])
def test_a_spare_is_prepared_ahead_only_where_that_opens_no_device(
    device: str, ahead: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "prepared"
    monkeypatch.setenv("FAKE_WORKER_PREPARED", str(marker))
    with Supervisor(Target(family="ok", device=device), worker_module=FAKE) as supervisor:
        supervisor.start()
        assert until(lambda: "spare" in supervisor.memory())
        if ahead:
            assert until(lambda: len(marker.read_text().split()) == 2)
        else:
            time.sleep(0.3)
            assert marker.read_text().split() == [str(supervisor.worker_pid)]
        supervisor.check("abort", CASE)
        assert supervisor.check("pass", CASE).verdict == "pass"


def test_a_worker_that_cannot_be_killed_is_named_and_the_next_takes_its_place(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fuzz.isolation import preloaded

    notices: list[str] = []
    supervisor = make(notify=notices.append, deadline=Deadline(floor=0.3, ceiling=0.3))
    supervisor.start()
    pid = supervisor.worker_pid
    # A process stuck in the kernel does not die of SIGKILL; here the signal is never sent.
    monkeypatch.setattr(preloaded.Preloaded, "_send_kill", lambda *_: None)
    monkeypatch.setattr(preloaded, "END_SECONDS", 0.2)
    assert supervisor.check("hang", CASE).verdict == "hang"
    monkeypatch.undo()
    assert list(supervisor.unkillable) == [pid]
    assert notices == [
        f"worker process {pid} was killed and was not seen to end; it is left behind"
    ]
    assert supervisor.check("pass", CASE).verdict == "pass"
    assert pid is not None
    supervisor.close()
    assert until(lambda: not alive(pid))


def test_no_process_leaves_a_core_file(supervisor: Supervisor) -> None:
    assert supervisor.ask({"op": "facts"})["core_limit"] == 0
