"""What a check gives when the worker answers, whatever it answers."""

from __future__ import annotations

import pytest

from fuzz.isolation.errors import NoAnswer
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.tests.conftest import Make
from strategies.case import Case

CASE = Case()


def _goes_on(supervisor: Supervisor) -> bool:
    return supervisor.check("pass", CASE).verdict == "pass"


def test_start_tells_what_loading_and_preparing_gave(make: Make) -> None:
    ready = make().start()
    assert ready.versions["fake"] == "1.0"
    assert ready.info["prepared"] == "ok"
    assert ready.threads == 1
    assert 0 < ready.seconds < 20


def test_one_worker_answers_many_checks(supervisor: Supervisor) -> None:
    said = [supervisor.check("pass", CASE).message for _ in range(3)]
    pid = supervisor.worker_pid
    assert said == [f"pid {pid}, request {n}" for n in (1, 2, 3)]
    assert supervisor.restarts == 0


def test_a_question_other_than_a_check_is_answered(supervisor: Supervisor) -> None:
    text = "x" * 1_000_000
    assert supervisor.ask({"op": "echo", "text": text}) == {"echo": text}


def test_a_question_to_a_worker_that_dies_raises_what_a_check_would_give(
    supervisor: Supervisor,
) -> None:
    with pytest.raises(NoAnswer, match="died by SIGABRT") as caught:
        supervisor.ask({"op": "x", "property": "abort"})
    assert caught.value.outcome.verdict == "crash"
    assert _goes_on(supervisor)


def test_a_question_too_big_to_send_is_broken(supervisor: Supervisor) -> None:
    with pytest.raises(NoAnswer, match="cannot be sent"):
        supervisor.ask({"op": "echo", "text": "x" * (17 * 2**20)})
    assert _goes_on(supervisor)


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("unserialisable", "no answer can be sent: the message is not JSON"),
        ("huge", "no answer can be sent: a frame of"),
        ("no-object", "the worker's answer is not an object but list"),
        ("odd-verdict", "unknown verdict 'maybe'"),
        ("no-outcome", "the worker's answer is no outcome"),
        ("raise", "ZeroDivisionError: division by zero"),
        ("raise-odd", "OddError"),
        ("sys-exit", "SystemExit: 4"),
    ],
)
def test_an_answer_that_makes_no_sense_is_broken_and_the_worker_stays(
    supervisor: Supervisor, deed: str, message: str
) -> None:
    pid = supervisor.worker_pid
    outcome = supervisor.check(deed, CASE)
    assert outcome.verdict == "broken"
    assert message in outcome.message
    assert outcome.signature is None
    assert _goes_on(supervisor)
    assert supervisor.worker_pid == pid


def test_an_exception_brings_its_traceback(supervisor: Supervisor) -> None:
    assert "in deed" in supervisor.check("raise", CASE).details


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("wrong-id", "the worker answered request 0, asked was 1"),
        ("garbage", "the worker sent garbage: the message is not JSON"),
        ("huge-frame", "the worker sent garbage: a frame of 4294967295 bytes is over the limit"),
        ("close-connection", "the worker closed its connection, but lives"),
    ],
)
def test_a_worker_that_talks_nonsense_is_broken_and_replaced(
    supervisor: Supervisor, deed: str, message: str
) -> None:
    pid = supervisor.worker_pid
    outcome = supervisor.check(deed, CASE)
    assert outcome.verdict == "broken"
    assert message in outcome.message
    assert _goes_on(supervisor)
    assert supervisor.worker_pid != pid


def test_a_memory_error_is_out_of_memory_and_the_worker_is_replaced(
    supervisor: Supervisor,
) -> None:
    pid = supervisor.worker_pid
    outcome = supervisor.check("memory-error", CASE)
    assert outcome.verdict == "oom"
    assert outcome.signature is not None
    assert outcome.signature.what == "MemoryError"
    assert _goes_on(supervisor)
    assert supervisor.worker_pid != pid


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("poison", "CUDA error: device-side assert triggered at 0x7f12"),
        ("poison-and-raise", "CUDA error"),
        ("poison-probe", "RuntimeError: CUDA error: device-side assert triggered"),
    ],
)
def test_after_a_poisoned_device_no_answer_is_believed_and_the_worker_is_replaced(
    supervisor: Supervisor, deed: str, message: str
) -> None:
    pid = supervisor.worker_pid
    outcome = supervisor.check(deed, CASE)
    assert (outcome.verdict, outcome.message) == ("crash", f"the device is lost: {message}")
    assert outcome.signature is not None
    assert outcome.signature.property == "no_crash"
    assert outcome.signature.what == "device error"
    assert "0x7f12" not in outcome.signature.message
    assert _goes_on(supervisor)
    assert supervisor.worker_pid != pid


def test_a_flood_of_output_disturbs_nothing_and_is_forgotten(supervisor: Supervisor) -> None:
    assert supervisor.check("flood", CASE).verdict == "pass"
    assert supervisor.check("abort", CASE).details.startswith("noise before")


def test_a_worker_without_standard_output_still_answers(supervisor: Supervisor) -> None:
    assert supervisor.check("close-output", CASE).verdict == "pass"
    assert _goes_on(supervisor)
