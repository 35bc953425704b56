"""Several processes check the properties of one pytest run: ``pytest fuzz -n 2``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from fuzz import engine, ledger
from fuzz.campaign import Tally
from fuzz.claims import CLAIMS
from fuzz.isolation.supervisor import Supervisor
from fuzz.regression import load, regressions_in
from fuzz.session import Options, Session
from fuzz.shared import Claims, Notes
from fuzz.target import Target
from fuzz.tests.stub_run import ONE_IMAGE, PASS, Check, Stub, entry, failing, images_fail
from fuzz.tests.test_cli import ROOT
from fuzz.verdict import Outcome, Signature
from strategies.case import Case, from_json, has_images

IMAGES = Signature("no_crash", "error", "images")
STATIC = Signature("no_crash", "error", "static")


@dataclass
class Run:
    """A pytest run that has ended."""

    code: int
    output: str
    folder: Path

    @property
    def tests(self) -> dict[str, ElementTree.Element]:
        """What the XML has of each test, by its name, and none twice."""
        found = list(ElementTree.parse(self.folder / "junit.xml").iter("testcase"))  # noqa: S314
        tests = {test.get("name", ""): test for test in found}
        assert len(tests) == len(found)
        return tests

    def texts(self, kind: str) -> list[str]:
        """What the XML has as ``failure``, ``error`` or ``skipped``."""
        found = [test.find(kind) for test in self.tests.values()]
        return [e.text or e.get("message") or "" for e in found if e is not None]

    @property
    def saved(self) -> list[Path]:
        return regressions_in(self.folder / "saves")

    def cases(self) -> dict[str, list[Case]]:
        """The cases that each property was given, in order."""
        logs = sorted((self.folder / "cases").iterdir())
        return {log.name: [from_json(line) for line in log.open()] for log in logs}


def start(folder: Path, *arguments: str, **environment: str) -> Any:
    """Start pytest in an empty folder, and in a process group of its own."""
    (folder / "cases").mkdir(parents=True)
    # With CI set, pytest repeats the whole text of a failure in its short summary.
    left_out = ("PYTEST_", "CI", "BUILD_NUMBER")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    given = {"PYTHONPATH": str(ROOT), "CASES_LOG": str(folder / "cases")}
    options = ["-p", "no:cacheprovider", "--save-to=saves", "--basetemp=base"]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments, *options, "--junitxml=junit.xml"],
        cwd=folder,
        env={**inherited, **given, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: Any, folder: Path) -> Run:
    output, _ = process.communicate(timeout=120)
    return Run(process.returncode, output, folder)


def run(folder: Path, *arguments: str, **environment: str) -> Run:
    return finish(start(folder, *arguments, **environment), folder)


def fuzz(*arguments: str) -> list[str]:
    """Return the arguments of a fuzz on the real model, some 10 s for two processes to start."""
    return [str(ROOT / "fuzz"), *arguments]


def torchless(*arguments: str) -> list[str]:
    """Return the arguments of a fuzz on the fake target."""
    return fuzz("-p", "fuzz.tests.torchless_plugin", *arguments)


# Real runs.


def test_two_processes_report_each_crash_once(tmp_path: Path):
    done = run(tmp_path, *fuzz("-n", "2", "--plant", "abort", "--cases", "5", "--seed", "1"))
    assert done.code == 1, done.output
    assert set(done.tests) == {f"test_property[{name}]" for name in CLAIMS}
    assert done.texts("error") == []
    failures = done.texts("failure")
    assert failures
    assert all("no_crash (crash): the worker died by SIGABRT" in text for text in failures)
    # Images and videos die at places of their own.
    for path in done.saved:
        assert load(path).signature.verdict == "crash"
        assert sum(str(path.relative_to(tmp_path)) in text for text in failures) == 1
    # What the others met of it is said by each of them, in the XML and at the end.
    told = {
        name: [p.get("value", "") for p in test.iter("property")]
        for name, test in done.tests.items()
    }
    owners = [name for name, test in done.tests.items() if test.find("failure") is not None]
    lines = [f"{name}: {line}" for name, values in told.items() for line in values]
    assert len(lines) > 1
    assert all(any(f"in a way that {owner} in gw" in line for owner in owners) for line in lines)
    assert [line for line in lines if line not in done.output.splitlines()] == []
    assert done.output.count("FINDING no_crash") == len(done.saved)


def test_two_processes_find_nothing_new_where_nothing_is_planted(tmp_path: Path):
    # The shipped regressions are replayed in two processes wherever these tests are run in two.
    done = run(tmp_path, *fuzz("-n", "2", "--cases", "3"))
    assert done.code == 0, done.output
    assert len(done.tests) == len(CLAIMS)
    assert (done.texts("failure"), done.texts("error"), done.saved) == ([], [], [])
    assert all(": " in text for text in done.texts("skipped"))


# Runs on the fake target.


def test_two_processes_run_the_cases_that_one_runs_and_tell_their_notices_once(tmp_path: Path):
    arguments = ["--cases", "8", "--seed", "5", "--deadline", "0.5", "7", "--memory-limit", "300"]
    processes = [
        start(tmp_path / number, *torchless(*arguments, "-n", number)) for number in ("0", "2")
    ]
    one, two = (finish(p, tmp_path / n) for p, n in zip(processes, ("0", "2"), strict=True))
    assert set(one.cases()) == set(CLAIMS)
    assert {len(cases) for cases in one.cases().values()} == {8}
    assert one.cases() == two.cases()
    for done in (one, two):
        assert done.code == 0, done.output
        lines = done.output.splitlines()
        assert lines.count("set up with 0.5 to 7 s, 300 MiB, fresh False") == 1
        assert lines.count("the preloaded process has 4 threads; forked workers may hang") == 1


@pytest.mark.parametrize("processes", [0, 2])
def test_ctrl_c_shows_what_was_found_until_then(tmp_path: Path, processes: int):
    arguments = ["--plant", "fault-abort", "-n", str(processes)]
    process = start(tmp_path, *torchless(*arguments), FAKE_TARGET_SECONDS="0.3")
    log = tmp_path / "cases" / "no_crash"
    end = time.monotonic() + 60
    # The first case with an image is a crash; then it is made smaller.
    while not log.exists() or sum(has_images(from_json(n)) for n in whole_lines(log)) < 2:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    done = finish(process, tmp_path)
    assert done.code == 2, done.output
    lines = [line for line in done.output.splitlines() if line.startswith("FINDING")]
    assert len(lines) == 1
    assert "no_crash (crash): the worker died by SIGABRT" in lines[0]
    assert len(done.saved) == 1
    assert "Traceback" not in done.output
    if not processes:
        assert "  confirmed           no: the run was stopped before\n" in done.output
        assert "Interrupted: stopped by Ctrl-C; what was found until then is kept" in done.output
        (failure,) = done.texts("failure")
        assert failure.startswith("FINDING (unconfirmed)")


def whole_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def test_a_target_that_cannot_be_started_ends_the_run_with_its_reason(tmp_path: Path):
    (tmp_path / "saves").write_text("in the way")
    done = run(tmp_path, *torchless("-n", "1", "--fresh-process"))
    assert done.code == 2, done.output
    reason = "ropefuzz: saves: cannot be made or written: File exists"
    assert set(done.texts("error")) == {reason}
    lines = done.output.splitlines()
    assert reason in lines
    assert f"! xdist.dsession.Interrupted: {reason} !" in lines
    assert "set up with 3 to 60 s, 8192 MiB, fresh True" in lines
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--deadline", "9", "2"], "--deadline: expected MIN <= MAX, got 9 and 2"),
        (
            ["--memory-limit", "-1"],
            "--memory-limit: expected a whole number of 1 or more, got '-1'",
        ),
    ],
)
def test_an_option_that_cannot_be_used_is_one_line(tmp_path: Path, arguments: list[str], said: str):
    done = run(tmp_path, *fuzz(*arguments, "-n", "2"))
    assert (done.code, done.output.split("\n")) == (4, [f"ERROR: {said}", "", ""])


# Who reports a failure.


def opened(folder: Path, check: Check) -> Session:
    options = Options(cases=40, seed=1, save_to=folder / "saves")
    return engine.open_session(cast(Supervisor, Stub(check)), Target(), options, lambda _: None)


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ledger, "shipped", lambda: ())


def test_a_failure_that_another_reports_is_counted_and_not_pursued(tmp_path: Path):
    session = opened(tmp_path, images_fail)
    session.claim = lambda _: False
    tally: Tally = engine.fuzz_property(session, "no_crash")
    assert sum(session.counts["no_crash"].values()) == tally.executed == 40
    assert tally.again == {IMAGES: tally.counts["error"]}
    assert session.findings == {}
    assert list((tmp_path / "saves").iterdir()) == []


def test_only_what_is_new_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def check(case: Case) -> Outcome:
        return failing("static") if case.cache == "static" else images_fail(case)

    asked: list[Signature] = []

    def claim(signature: Signature) -> bool:
        asked.append(signature)
        return True

    monkeypatch.setattr(ledger, "shipped", lambda: (entry(),))
    session = opened(tmp_path, check)
    session.claim = claim
    tally = engine.fuzz_property(session, "no_crash")
    assert tally.known > 1
    assert set(asked) == set(session.findings) == {STATIC}


def test_a_failure_met_while_shrinking_is_left_to_whom_it_belongs(tmp_path: Path):
    def check(case: Case) -> Outcome:
        return failing("static") if case == ONE_IMAGE else images_fail(case)

    session = opened(tmp_path, check)
    session.claim = lambda signature: signature == IMAGES
    tally = engine.fuzz_property(session, "no_crash")
    assert set(session.findings) == {IMAGES}
    assert tally.again[STATIC] > 0


def test_ctrl_c_keeps_nothing_that_belongs_to_another(tmp_path: Path):
    def check(case: Case) -> Outcome:
        # The first attempts at making it smaller meet the other failure; then comes Ctrl-C.
        if ONE_IMAGE in stub.checked[:-1]:
            raise KeyboardInterrupt
        return failing("static") if case == ONE_IMAGE else images_fail(case)

    session = opened(tmp_path, check)
    stub = cast(Stub, session.supervisor)
    asked: list[Signature] = []

    def claim(signature: Signature) -> bool:
        asked.append(signature)
        return signature == IMAGES

    session.claim = claim
    tally = engine.fuzz_property(session, "no_crash")
    assert tally.interrupted
    assert STATIC in asked
    assert set(session.findings) == {IMAGES}


def test_a_failure_is_given_to_the_first_who_asks_and_to_nobody_else(tmp_path: Path):
    first, second = Claims(tmp_path, "first"), Claims(tmp_path, "second")
    assert [first(IMAGES), second(IMAGES), first(IMAGES), second(IMAGES)] == [True, False] * 2
    assert [second(STATIC), first(STATIC)] == [True, False]
    assert [c.holder_of(IMAGES) for c in (first, second)] == ["first", "first"]
    assert first.holder_of(STATIC) == "second"


def test_a_failure_goes_back_if_its_process_ends_before_anyone_was_told_of_it(tmp_path: Path):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from fuzz.shared import Claims\n"
        "from fuzz.tests.test_xdist import IMAGES, STATIC\n"
        "claims = Claims(Path(sys.argv[1]), 'first')\n"
        "assert claims(IMAGES) and claims(STATIC)\n"
        "claims.told(STATIC)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, timeout=60)
    assert done.returncode == -signal.SIGKILL
    second = Claims(tmp_path, "second")
    assert [second(IMAGES), second(STATIC)] == [True, False]
    assert [second.holder_of(IMAGES), second.holder_of(STATIC)] == ["second", "first"]


def test_a_claim_that_cannot_be_written_down_is_granted(tmp_path: Path):
    claims = Claims(tmp_path / "gone", "first")
    assert claims(IMAGES)
    claims.told(IMAGES)
    assert claims(IMAGES)
    assert claims.holder_of(IMAGES) == "another test"


def test_a_note_is_read_once_whoever_wrote_it_and_one_cut_off_is_not_read(tmp_path: Path):
    for text in ("a\nb", "c", "a\nb"):
        Notes(tmp_path).add(text)
    with (tmp_path / "notes").open("a") as file:
        file.write('"d')
    assert Notes(tmp_path).read() == ["a\nb", "c"]


def test_a_note_that_cannot_be_written_is_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    notes = Notes(tmp_path / "gone")
    notes.add("a")
    assert capsys.readouterr().err == "ropefuzz: a\n"
    assert notes.read() == []


def test_nothing_is_claimed_where_every_case_passes(tmp_path: Path):
    session = opened(tmp_path, lambda _: PASS)
    session.claim = pytest.fail  # type: ignore[assignment]
    assert engine.fuzz_property(session, "no_crash").fatal is None
