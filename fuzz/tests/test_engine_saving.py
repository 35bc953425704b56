"""A run loses no finding, whatever becomes of the folder or of ropefuzz itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import regression
from fuzz.tests.stub_run import ONE_IMAGE, PASS, Bench, Stub, failing, images_fail
from fuzz.verdict import Outcome
from strategies.case import Case, has_images


def test_a_finding_that_cannot_be_saved_is_told_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    def save(*_: object) -> tuple[Path, bool]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(regression, "save", save)
    report = bench(Stub(images_fail))
    (found,) = bench.found
    assert found.path is None
    assert "could not be saved" in found.note
    assert "No space left on device" in found.note
    assert [f.case for f in report.findings] == [ONE_IMAGE]
    assert report.exit_code == 1


def test_a_folder_that_becomes_a_file_while_the_run_lasts_loses_no_finding(bench: Bench):
    def check(case: Case) -> Outcome:
        if bench.folder.is_dir():
            bench.folder.rmdir()
            bench.folder.write_text("in the way")
        return images_fail(case)

    report = bench(Stub(check))
    assert [f.case for f in report.findings] == [ONE_IMAGE]
    assert bench.found[0].path is None
    assert "could not be saved" in bench.found[0].note


def test_a_finding_saved_before_is_said_to_be(bench: Bench):
    bench(Stub(images_fail))
    bench(Stub(images_fail))
    first, second = bench.found
    assert first.path == second.path
    assert (first.note, second.note) == ("", "saved before, with a case no larger")


def test_an_error_of_our_own_ends_the_run_and_keeps_what_was_found(bench: Bench):
    met: list[Case] = []

    def check(case: Case) -> Outcome:
        if not has_images(case):
            return PASS
        met.append(case)
        if len(met) > 2:
            raise OSError(24, "Too many open files")
        return failing("images")

    report = bench(Stub(check))
    (finding,) = report.findings
    assert finding.status == "unconfirmed"
    assert report.fatal == "OSError: [Errno 24] Too many open files"
    assert report.exit_code == 1


def test_an_error_without_a_text_is_told_too(bench: Bench):
    def check(_: Case) -> Outcome:
        raise MemoryError

    report = bench(Stub(check))
    assert report.fatal == "MemoryError: "
    assert report.exit_code == 3
