"""What a check gives when the worker dies, hangs or takes too much memory."""

from __future__ import annotations

import os
import signal
import time

import pytest

from fuzz.isolation.deadline import Deadline
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.tests.conftest import Make, alive, until
from fuzz.isolation.told import LateDeath, Ran
from fuzz.verdict import Outcome, Signature
from strategies.case import Case

CASE = Case()


def _signature(outcome: Outcome) -> Signature:
    assert outcome.signature is not None
    assert outcome.signature.property == "no_crash"
    assert outcome.signature.verdict == outcome.verdict
    return outcome.signature


def _goes_on(supervisor: Supervisor) -> bool:
    return supervisor.check("pass", CASE).verdict == "pass"


@pytest.mark.parametrize(
    ("deed", "what", "where"),
    [
        ("abort", "SIGABRT", ""),
        ("abort-in-model", "SIGABRT", "modeling_fake.forward"),
        ("segfault-in-model", "SIGSEGV", "modeling_fake.forward"),
        ("exit", "exit code 0", ""),
        ("cut-off", "exit code 0", ""),
    ],
)
def test_a_death_is_a_crash_named_by_its_cause_and_place(
    supervisor: Supervisor, deed: str, what: str, where: str
) -> None:
    outcome = supervisor.check(deed, CASE)
    assert outcome.verdict == "crash"
    assert (_signature(outcome).what, _signature(outcome).where) == (what, where)
    assert outcome.message.startswith(f"the worker died by {what}")
    assert _goes_on(supervisor)
    assert supervisor.restarts == 1


def test_a_crash_quotes_what_the_worker_said_last(supervisor: Supervisor) -> None:
    outcome = supervisor.check("abort", CASE)
    said = "file.cu:12: block [3,0,0] Assertion `index < 151936` failed."
    assert outcome.message == f"the worker died by SIGABRT: {said}"
    assert _signature(outcome).message == "file.cu:#: block [#] Assertion `index < #` failed."
    assert "Fatal Python error: Aborted" in outcome.details


def test_a_crash_after_a_flood_is_still_explained(supervisor: Supervisor) -> None:
    outcome = supervisor.check("flood-and-abort", CASE)
    assert outcome.message == "the worker died by SIGABRT: CUDA error: misaligned address"


def test_a_kill_from_elsewhere_is_out_of_memory(supervisor: Supervisor) -> None:
    outcome = supervisor.check("kill-self", CASE)
    assert (outcome.verdict, _signature(outcome).what) == ("oom", "SIGKILL")
    assert _goes_on(supervisor)


@pytest.mark.parametrize(
    ("deed", "where"),
    [
        ("hang", "modeling_fake.forward"),
        ("hang-with-lock", "modeling_fake.forward"),
        ("hang-ignoring-signals", ""),
        ("hang-stopped", ""),
    ],
)
def test_a_hang_is_ended_at_its_deadline_and_names_its_place(
    impatient: Supervisor, deed: str, where: str
) -> None:
    pid = impatient.worker_pid
    assert pid is not None
    outcome = impatient.check(deed, CASE)
    assert outcome.verdict == "hang"
    assert (_signature(outcome).what, _signature(outcome).message) == ("deadline", "")
    assert _signature(outcome).where == where
    assert outcome.message.startswith("no answer within 0.3 s")
    assert not alive(pid)
    assert not impatient.unkillable
    assert _goes_on(impatient)


@pytest.mark.parametrize("deed", ["hoard", "hoard-output"])
def test_a_worker_over_its_memory_is_killed(make: Make, deed: str) -> None:
    supervisor = make(memory_limit_mib=64)
    supervisor.start()
    outcome = supervisor.check(deed, CASE)
    assert (outcome.verdict, _signature(outcome).what) == ("oom", "memory limit")
    assert outcome.message == "the case took more than 64 MiB of memory"
    assert _goes_on(supervisor)


def test_too_much_memory_that_is_first_seen_at_the_deadline_is_no_hang(make: Make) -> None:
    """On a busy machine the driver may not have looked before."""
    supervisor = make(deadline=Deadline(floor=0.05, ceiling=0.05), memory_limit_mib=1)
    supervisor.start()
    outcome = supervisor.check("hoard", CASE)
    assert (outcome.verdict, _signature(outcome).what) == ("oom", "memory limit")


def test_the_death_of_the_preloaded_process_is_our_own_fault_and_repaired(
    supervisor: Supervisor,
) -> None:
    outcome = supervisor.check("kill-preloaded", CASE)
    assert outcome.verdict == "broken"
    assert outcome.message == "the preloaded process died by SIGKILL"
    assert _goes_on(supervisor)
    assert supervisor.preloads == 2


def test_three_deaths_of_the_preloaded_process_in_a_row_are_enough(supervisor: Supervisor) -> None:
    for _ in range(3):
        assert supervisor.check("kill-preloaded", CASE).verdict == "broken"
    with pytest.raises(SetupProblem, match="died 3 times in a row, last by SIGKILL"):
        supervisor.check("pass", CASE)


def test_deaths_of_the_preloaded_process_that_are_not_in_a_row_are_repaired(
    supervisor: Supervisor,
) -> None:
    for _ in range(4):
        assert supervisor.check("kill-preloaded", CASE).verdict == "broken"
        assert _goes_on(supervisor)


def test_a_death_between_two_checks_is_laid_to_the_case_before_it(
    supervisor: Supervisor,
) -> None:
    supervisor.check("pass", Case(cache="static"))
    pid = supervisor.worker_pid
    assert pid is not None
    os.kill(pid, 11)
    assert until(lambda: not os.path.exists(f"/proc/{pid}"))  # noqa: PTH110 - a plain look
    late: list[LateDeath] = []
    # Reaped, but its news may be underway for another moment.

    def told() -> bool:
        late.extend(supervisor.late_deaths())
        return bool(late)

    assert until(told)
    (death,) = late
    assert death.ran == Ran("pass", Case(cache="static"))
    assert death.outcome.message.startswith("the worker died by SIGSEGV")
    assert supervisor.late_deaths() == []
    assert _goes_on(supervisor)
    assert supervisor.restarts == 1


def test_a_death_soon_after_the_answer_is_seen_by_a_fresh_check_that_lingers(
    supervisor: Supervisor,
) -> None:
    assert supervisor.check_fresh("die-later", CASE).verdict == "pass"
    outcome = supervisor.check_fresh("die-later", CASE, linger=5.0)
    assert (outcome.verdict, _signature(outcome).what) == ("crash", "SIGABRT")
    assert supervisor.check_fresh("pass", CASE, linger=0.05).verdict == "pass"


def test_the_case_before_the_one_that_died_is_remembered(supervisor: Supervisor) -> None:
    supervisor.check("pass", Case(cache="static"))
    supervisor.check("abort", CASE)
    assert supervisor.predecessor == Ran("pass", Case(cache="static"))
    supervisor.check("pass", CASE)
    assert supervisor.predecessor is None


def test_a_replaced_worker_has_run_nothing(supervisor: Supervisor) -> None:
    supervisor.check("pass", CASE)
    supervisor.replace()
    assert supervisor.check("pass", CASE).message.endswith("request 1")
    assert supervisor.predecessor is None


def test_the_spare_makes_a_restart_far_cheaper_than_loading(make: Make) -> None:
    supervisor = make("load-slowly")
    loading = supervisor.start().seconds
    supervisor.check("abort", CASE)
    started = time.monotonic()
    assert _goes_on(supervisor)
    assert time.monotonic() - started < loading / 5
    assert supervisor.preloads == 1
    assert supervisor.forks == 3


def test_a_fresh_check_runs_in_a_process_that_has_run_nothing_else(
    supervisor: Supervisor,
) -> None:
    current = supervisor.worker_pid
    said = [supervisor.check_fresh("pass", CASE).message for _ in range(3)]
    assert len(set(said)) == 3
    assert all(text.endswith("request 1") for text in said)
    assert f"pid {current}, request 1" not in said
    pids = [int(text.split()[1].rstrip(",")) for text in said]
    assert not any(alive(pid) for pid in pids)
    assert supervisor.worker_pid == current
    assert supervisor.restarts == 0


def test_a_fresh_check_sees_a_death_too(supervisor: Supervisor) -> None:
    assert supervisor.check_fresh("abort", CASE).verdict == "crash"
    assert supervisor.check("pass", CASE).message.endswith("request 1")


def test_the_deadline_shrinks_with_what_was_seen_but_not_for_a_fresh_check(make: Make) -> None:
    supervisor = make(deadline=Deadline(floor=0.1, ceiling=1.0, warm_up=1, factor=2))
    supervisor.start()
    assert _goes_on(supervisor)
    assert "within 0.1 s" in supervisor.check("hang", CASE).message
    assert "within 0.2 s" in supervisor.check_fresh("hang", CASE).message


def test_a_spare_that_died_while_it_was_idle_is_blamed_on_no_case(supervisor: Supervisor) -> None:
    assert until(lambda: "spare" in supervisor.memory())
    pid = supervisor.pids()["spare"]
    time.sleep(0.2)  # until it is ready
    os.kill(pid, 9)
    assert until(lambda: not os.path.exists(f"/proc/{pid}"))  # noqa: PTH110 - a plain look
    assert supervisor.check_fresh("pass", CASE).verdict == "pass"
    assert supervisor.late_deaths() == []


def test_what_a_worker_holds_when_it_is_ready_does_not_count_as_the_cases(make: Make) -> None:
    supervisor = make(memory_limit_mib=1)
    supervisor.start()
    assert _goes_on(supervisor)


def test_a_preloaded_process_that_is_stopped_is_replaced(make: Make) -> None:
    supervisor = make(idle_seconds=0.5)
    ready = supervisor.start()
    os.kill(ready.pid, signal.SIGSTOP)
    assert supervisor.check_fresh("pass", CASE).verdict == "pass"
    assert supervisor.check_fresh("pass", CASE).verdict == "pass"
    assert supervisor.preloads == 2
