"""Which cases of a gate are watched for the changed lines that they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fuzz.gate.changed import Reach, Statement
from fuzz.gate.watch import PATIENCE, SOME, Watch

STATEMENTS = {Statement("x.py", line, line, "f") for line in (1, 2)}


@dataclass(slots=True)
class Candidate:
    watch: Callable[[Mapping[str, Sequence[int]]], None] | None


def checked(watch: Watch, candidate: Candidate, lines: Sequence[int], brief: bool = False) -> bool:
    """Check one case that runs these lines; tell whether it was watched."""
    watch.before(brief)
    watched = candidate.watch is not None
    if candidate.watch is not None:
        candidate.watch({"x.py": lines})
    watch.after()
    return watched


def test_all_are_watched_until_many_in_a_row_run_nothing_new_and_then_some():
    reach = Reach(statements=STATEMENTS)
    candidate = Candidate(reach.note)
    watch = Watch(candidate, reach)
    assert all(checked(watch, candidate, [1]) for _ in range(PATIENCE + 1))
    assert watch.reached() == 1
    later = [checked(watch, candidate, [1]) for _ in range(10 * SOME)]
    assert later.count(True) == 10
    assert watch.reached() is None or later[-1]


def test_what_is_new_makes_all_watched_again():
    reach = Reach(statements=STATEMENTS)
    candidate = Candidate(reach.note)
    watch = Watch(candidate, reach)
    for _ in range(PATIENCE + 1):
        checked(watch, candidate, [1])
    while not checked(watch, candidate, [1, 2]):
        pass
    assert reach.reached == STATEMENTS
    assert all(checked(watch, candidate, [1]) for _ in range(PATIENCE))


def test_cases_of_a_minimization_are_not_watched_and_those_after_the_property_are():
    reach = Reach(statements=STATEMENTS)
    note = reach.note
    candidate = Candidate(note)
    watch = Watch(candidate, reach)
    assert not checked(watch, candidate, [1], brief=True)
    watch.end()
    assert candidate.watch == note


def test_who_was_not_watched_before_never_is():
    candidate = Candidate(None)
    watch = Watch(candidate, Reach())
    assert not checked(watch, candidate, [1])
    assert watch.reached() is None
