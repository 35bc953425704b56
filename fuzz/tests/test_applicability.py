"""A property that says nothing about a target is left out, by name and with the reason."""

from __future__ import annotations

from fuzz.events import NotApplicable
from fuzz.report import not_applicable_line
from fuzz.tests.stub_run import PASS, Bench, Stub

BOTH_WAYS = {"causality": "it sees both ways"}


def test_what_does_not_apply_is_told_and_the_rest_runs(bench: Bench):
    stub = Stub(lambda _: PASS, not_applicable=BOTH_WAYS)
    report = bench(stub, properties=("causality", "no_crash"), cases=2)
    assert NotApplicable("causality", "it sees both ways") in bench.events
    assert set(report.counts) == {"no_crash"}
    assert report.exit_code == 0


def test_a_run_of_nothing_but_what_does_not_apply_judged_nothing(bench: Bench):
    report = bench(
        Stub(lambda _: PASS, not_applicable=BOTH_WAYS), properties=("causality",), cases=2
    )
    assert report.exit_code == 3


def test_the_line_names_property_and_reason():
    line = not_applicable_line(NotApplicable("causality", "it sees both ways"))
    assert line == "causality            not applicable: it sees both ways"
