"""The table of outcomes: all pairs of verdicts, written out."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from fuzz.outcome import BLOCKING, CHANGES, SENTENCES, Change, change
from fuzz.verdict import FAILURES, Kind

COLUMNS: tuple[Kind, ...] = (
    "pass", "reject", "error", "fail", "oom", "hang", "crash", "broken",
)  # fmt: skip
SHORT: dict[str, Change] = {
    "=": "same",
    "F": "fixed",
    "c": "changed",
    "r": "restricted",
    "R": "regressed",
    "u": "unjudged",
}
# A row for each verdict of the baseline, a column for each of the candidate in the same order.
TABLE: dict[Kind, str] = {
    "pass":   "= r R R R R R u",
    "reject": "c = R R R R R u",
    "error":  "F F = R R R R u",
    "fail":   "F F c = R R R u",
    "oom":    "F F c c = R R u",
    "hang":   "F F c c c = R u",
    "crash":  "F F c c c c = u",
    "broken": "u u u u u u u u",
}  # fmt: skip
PAIRS = {
    (before, after): SHORT[letter]
    for before, row in TABLE.items()
    for after, letter in zip(COLUMNS, row.split(), strict=True)
}


def test_the_table_has_every_pair_of_verdicts():
    assert set(PAIRS) == set(product(get_args(Kind), repeat=2))
    assert set(SENTENCES) == set(CHANGES)
    assert set(PAIRS.values()) | {"known", "flaky", "passing"} == set(CHANGES)


def test_without_a_baseline_only_a_pass_that_nobody_asked_it_for_is_judged():
    assert change(None, "pass", asked=False) == "passing"
    assert change(None, "pass") == "unjudged"
    assert {change(None, k, asked=False) for k in COLUMNS if k != "pass"} == {"unjudged"}


@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair_is_what_the_table_says(pair: tuple[Kind, Kind]):
    before, after = pair
    plain = PAIRS[pair]
    assert change(before, after) == plain
    # For different reasons it is a change where it would be the same, and else no matter.
    assert change(before, after, alike=False) == ("changed" if plain == "same" else plain)
    # What the ledger expects never blocks; only a failure can be expected.
    expected = "known" if after in FAILURES and plain != "unjudged" else plain
    assert change(before, after, known=True) == expected
    assert change(before, after, known=True, alike=False) == (
        "changed" if expected == "same" else expected
    )
    # What is not reproduced is flaky, whatever else it seems; what is not judged stays so.
    shaken = "unjudged" if plain == "unjudged" else "flaky"
    assert change(before, after, steady=False, known=True) == shaken


@pytest.mark.parametrize("verdict", [*COLUMNS, None])
def test_a_side_without_a_verdict_is_never_a_pass(verdict: Kind | None):
    assert change(None, verdict) == change(verdict, None) == "unjudged"


def test_what_blocks_is_what_the_design_says():
    assert {"regressed", "restricted", "unjudged"} == BLOCKING
    # From a pass, everything but a pass blocks; a hang is no noise.
    assert all(change("pass", after) in BLOCKING for after in COLUMNS if after != "pass")
