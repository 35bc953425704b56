"""How a target that cannot be had is told, and what a worker is born with."""

from __future__ import annotations

import os

import pytest

from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.tests.conftest import Make, in_session
from strategies.case import Case


@pytest.mark.parametrize(
    ("family", "kind", "message"),
    [
        ("load-usage", "usage", "family 'load-usage' needs a newer release"),
        ("load-broken", "broken", "ImportError: no module named 'torchh'"),
        ("load-dies", "broken", "the preloaded process died by SIGABRT while loading"),
        ("load-exits", "broken", "SystemExit: 3"),
        ("prepare-usage", "usage", "device 'cuda:9' does not exist"),
        ("prepare-broken", "broken", "ValueError: hidden_size must be divisible by num_heads"),
        ("prepare-dies", "broken", "a worker died by SIGABRT while preparing: error: cannot"),
    ],
)
def test_a_target_that_cannot_be_had_is_told_at_the_start(
    make: Make, family: str, kind: str, message: str
) -> None:
    with pytest.raises(SetupProblem) as caught:
        make(family).start()
    assert caught.value.kind == kind
    assert caught.value.message.startswith(message)
    if kind == "usage":
        assert (caught.value.message, caught.value.details) == (message, "")


def test_a_failed_load_brings_its_traceback_and_what_was_printed(make: Make) -> None:
    with pytest.raises(SetupProblem) as caught:
        make("load-broken").start()
    assert "Traceback" in caught.value.details
    assert "written while loading" in caught.value.details


def test_a_load_that_takes_too_long_is_given_up(make: Make) -> None:
    with pytest.raises(SetupProblem, match="loading took more than 1 s"):
        make("load-hangs", setup_seconds=1.0).start()


def test_preparing_that_takes_too_long_is_given_up_and_names_its_place(make: Make) -> None:
    with pytest.raises(SetupProblem, match="preparing a worker took more than 1 s") as caught:
        make("prepare-hangs", setup_seconds=1.0).start()
    assert "in prepare" in caught.value.details


def test_an_interpreter_that_is_missing_is_told(make: Make) -> None:
    with pytest.raises(SetupProblem, match="cannot start /nowhere/python"):
        make(python="/nowhere/python").start()


def test_a_module_that_is_missing_is_told() -> None:
    from fuzz.target import Target

    with pytest.raises(SetupProblem, match="ModuleNotFoundError: No module named 'nowhere'"):
        Supervisor(Target(), worker_module="nowhere").start()


def test_checking_before_the_start_is_a_mistake_of_the_caller(make: Make) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        make().check("pass", Case())


def test_a_worker_holds_only_its_own_connection_and_its_output(supervisor: Supervisor) -> None:
    facts = supervisor.ask({"op": "facts"})
    links = sorted(link for link in facts["descriptors"].values() if link)
    assert [link.split(":")[0] for link in links] == ["/dev/null", "/memfd", "/memfd", "socket"]
    assert links[1] == links[2] == "/memfd:ropefuzz-output (deleted)"


def test_a_worker_lives_in_another_session_and_ignores_interrupts(supervisor: Supervisor) -> None:
    facts = supervisor.ask({"op": "facts"})
    assert facts["session"] != os.getsid(0)
    assert facts["session"] == facts["parent"]
    assert facts["ignores_interrupt"]
    assert facts["oom_score_adj"] == "1000"
    # The second thread is the one that will write down a hang.
    assert facts["threads"] == 2


def test_memory_is_told_for_each_process(supervisor: Supervisor) -> None:
    supervisor.check_fresh("pass", Case())
    memory = supervisor.memory()
    assert set(memory) >= {"driver", "preload", "worker"}
    assert all(0 < one.pss_mib <= one.rss_mib < 1000 for one in memory.values())


def test_closing_twice_or_before_the_start_is_fine_and_leaves_nobody(make: Make) -> None:
    make().close()
    supervisor = make()
    pid = supervisor.start().pid
    assert len(in_session(pid)) >= 3
    supervisor.close()
    supervisor.close()
    assert in_session(pid) == []
