"""Workers under a command of the user's: it is run, and what it makes of a case counts."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from fuzz.isolation.deadline import Deadline
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.tests.conftest import Make, alive, until
from fuzz.regression import regressions_in
from fuzz.tests.torchless import finish, start
from strategies.case import Case

CASE = Case()
REPORT = "========= Invalid __global__ read of size 4 bytes"


def script(folder: Path, text: str) -> list[str]:
    """A command that runs its arguments, between what the text says."""
    path = folder / "wrapper"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


def test_every_case_runs_under_the_command_in_an_interpreter_of_its_own(
    make: Make, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    wrapper = script(tmp_path, f'echo $$ "$PYTORCH_NO_CUDA_MEMORY_CACHING" >> {marker}; exec "$@"')
    supervisor = make(wrap=["nice", "-n", "1", *wrapper])
    assert "PYTORCH_NO_CUDA_MEMORY_CACHING" in supervisor.start().versions["environment"]
    said = [supervisor.check("pass", CASE).message for _ in range(2)]
    said.append(supervisor.check_fresh("pass", CASE).message)
    pids = [int(text.split()[1].rstrip(",")) for text in said]
    assert len(set(pids)) == 3
    assert {f"{pid} 1" for pid in pids} <= set(marker.read_text().splitlines())
    assert not any(alive(pid) for pid in pids)


def test_a_death_under_a_command_that_hands_it_on_is_told_as_without_it(make: Make) -> None:
    plain, wrapped = make(), make(wrap=["env"])
    plain.start()
    wrapped.start()
    outcome = wrapped.check("abort-in-model", CASE)
    assert outcome.signature == plain.check("abort-in-model", CASE).signature
    assert wrapped.check("pass", CASE).verdict == "pass"


@pytest.mark.parametrize("deed", ["pass", "abort", "exit"])
def test_an_exit_code_of_the_command_is_a_crash_with_its_words(
    make: Make, tmp_path: Path, deed: str
) -> None:
    """As ``compute-sanitizer --error-exitcode 99`` does, which is the parent of what it runs."""
    supervisor = make(wrap=script(tmp_path, f'"$@"\nsleep 0.2\necho "{REPORT} error"\nexit 99'))
    supervisor.start()
    outcome = supervisor.check(deed, CASE)
    assert outcome.verdict == "crash"
    assert outcome.message.startswith("the worker died by exit code 99")
    said = "Assertion `index < 151936` failed." if deed == "abort" else f"{REPORT} error"
    assert outcome.message.endswith(said)
    assert f"{REPORT} error" in outcome.details
    assert outcome.signature is not None
    assert outcome.signature.what == "exit code 99"


def test_a_command_that_never_ends_is_a_hang_and_nothing_of_it_is_left(
    make: Make, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    wrapper = script(tmp_path, f'"$@"\necho $$ > {pid}\nwhile :; do sleep 0.1; done')
    supervisor = make(wrap=wrapper, deadline=Deadline(floor=1, ceiling=1))
    supervisor.start()
    assert supervisor.check("pass", CASE).verdict == "hang"
    supervisor.close()
    assert until(lambda: not alive(int(pid.read_text())))


def test_memory_of_a_worker_below_the_command_counts(make: Make, tmp_path: Path) -> None:
    supervisor = make(wrap=script(tmp_path, '"$@"'), memory_limit_mib=64)
    supervisor.start()
    outcome = supervisor.check("hoard", CASE)
    assert outcome.signature is not None
    assert outcome.signature.what == "memory limit"


def test_a_command_that_does_not_run_its_arguments_is_a_setup_problem(make: Make) -> None:
    with pytest.raises(SetupProblem, match="a worker died by exit code 0 while preparing"):
        make(wrap=["true"]).start()


def test_a_finding_under_a_command_says_so_and_replays_under_it(tmp_path: Path) -> None:
    (command,) = script(tmp_path, 'shift 2; "$@" || { echo "ERROR SUMMARY: 1 error"; exit 99; }')
    wrap = ["--wrap", f"{command} --error-exitcode 99"]
    plant = ["--plant", "fault-abort"]
    arguments = ["--property", "no_crash", "--cases", "9", "--seed", "3"]
    code, out, err = finish(start(tmp_path, "run", *wrap, *plant, *arguments))
    assert (code, err) == (1, ""), out + err
    assert "the worker died by exit code 99" in out
    assert f"  run under           {command} --error-exitcode 99\n" in out
    assert f"--wrap {shlex.quote(wrap[1])}" in out.splitlines()[-1]
    assert len(regressions_in(tmp_path / "regressions")) == 1
    # What is printed can be pasted.
    (again,) = (line for line in out.splitlines() if line.startswith("  see it again"))
    words = shlex.split(again.partition("ropefuzz ")[2])
    code, out, _ = finish(start(tmp_path, *words))
    assert (code, out.split()[0]) == (1, "FAILED")
