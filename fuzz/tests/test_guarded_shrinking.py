"""Where an index out of range costs the process, failures are made small under the index guard."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from fuzz import engine, ledger
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.told import Ready
from fuzz.session import Options, Report
from fuzz.target import Target
from fuzz.tests.stub_run import ONE_IMAGE, PASS, Check, Stub, images_fail
from fuzz.tests.test_cli import ropefuzz
from fuzz.verdict import Outcome, Signature
from strategies.case import Case, has_images

CRASH = Outcome("crash", "device lost", Signature("no_crash", "crash", "device error"))
INDEX = Outcome("error", "index 9", Signature("no_crash", "error", "IndexError", "model.forward"))


@dataclass
class Fragile(Stub):
    """A supervisor of a device that an index out of range breaks."""

    guarded: Check = images_fail
    under_guard: list[Case] = field(default_factory=list)
    blocking: list[bool] = field(default_factory=list)
    fragile: bool = True

    def start(self) -> Ready:
        ready = super().start()
        ready.info["fragile"] = self.fragile
        return ready

    def check(self, property_id: str, case: Case, guard: bool = False) -> Outcome:
        if not guard:
            return super().check(property_id, case)
        self.under_guard.append(case)
        return self.guarded(case)

    def check_fresh(
        self,
        _: str,
        case: Case,
        linger: float = 0.0,
        guard: bool = False,
        blocking: bool = False,
    ) -> Outcome:
        assert not guard
        self.blocking.append(blocking)
        return super().check_fresh(_, case, linger)


def run(stub: Stub, folder: Path, **options: Any) -> Report:
    given: dict[str, Any] = {"properties": ("no_crash",), "cases": 15, "seed": 1, **options}
    return engine.run(
        cast(Supervisor, stub), Target(), Options(save_to=folder, **given), lambda _: None
    )


@pytest.fixture(autouse=True)
def no_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "shipped", lambda: ())


def crash(case: Case) -> Outcome:
    return CRASH if has_images(case) else PASS


def index(case: Case) -> Outcome:
    return INDEX if has_images(case) else PASS


def test_a_crash_is_made_small_without_one_more_and_confirmed_without_the_guard(tmp_path: Path):
    stub = Fragile(crash, guarded=index)
    report = run(stub, tmp_path)
    (finding,) = report.findings
    assert (finding.signature, finding.case) == (CRASH.signature, ONE_IMAGE)
    assert (finding.failed, finding.runs) == (3, 3)
    assert finding.attempts > 0
    assert len(stub.checked) == 15
    assert stub.confirmed == [ONE_IMAGE] * 3
    assert stub.blocking == [True] * 3
    assert finding.said == (("begins at", "row 1"),)


def test_where_the_small_case_does_not_crash_without_the_guard_it_is_made_small_without(
    tmp_path: Path,
):
    """The guard saw an index that this device lets pass in small cases: it is no evidence."""

    def crash_with_two_rows(case: Case) -> Outcome:
        return CRASH if has_images(case) and len(case.rows) > 1 else PASS

    stub = Fragile(crash_with_two_rows, guarded=index)
    (finding,) = run(stub, tmp_path, cases=60).findings
    assert finding.signature == CRASH.signature
    assert len(finding.case.rows) == 2
    assert finding.failed == 3


def test_another_failure_met_under_the_guard_is_believed_as_it_is_without(tmp_path: Path):
    """Text alone passes without the guard, so what the guard says of it is no finding."""
    other = Outcome("error", "index 1", Signature("no_crash", "error", "IndexError", "elsewhere"))
    stub = Fragile(crash, guarded=lambda c: INDEX if has_images(c) else other)
    (finding,) = run(stub, tmp_path).findings
    assert finding.signature == CRASH.signature


def test_a_failure_that_the_guard_does_not_explain_is_made_small_without_it(tmp_path: Path):
    stub = Fragile(crash, guarded=lambda _: PASS)
    (finding,) = run(stub, tmp_path).findings
    assert finding.case == ONE_IMAGE
    assert len(stub.under_guard) == 1
    assert len(stub.checked) > 15


def test_on_cpu_there_is_no_guard_and_nothing_waits(tmp_path: Path):
    stub = Fragile(crash, guarded=index, fragile=False)
    (finding,) = run(stub, tmp_path).findings
    assert finding.case == ONE_IMAGE
    assert (stub.under_guard, set(stub.blocking)) == ([], {False})


def test_an_assertion_of_a_device_is_told_with_index_table_and_module(tmp_path: Path):
    """On the stand-in for a device, which raises at the call itself only where it is waited for."""
    arguments = ["--plant", "rotary-table-short-device", "--property", "no_crash", "--cases", "8"]
    done = ropefuzz(tmp_path, "run", *arguments, "--seed", "5")
    assert (done.returncode, done.stderr) == (1, "")
    assert "FINDING no_crash (crash): the device is lost: CUDA error: device-side" in done.stdout
    assert "  smallest case       one text token, no image\n" in done.stdout
    assert "  index               index 0 passed a table of 0 rows" in done.stdout
    assert "  confirmed           3 of 3 fresh processes\n" in done.stdout
    assert "| noticed at: AcceleratorError in modeling_qwen2_vl." in done.stdout
