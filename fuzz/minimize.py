"""Making a failing case smaller until nothing simpler fails in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from strategies.case import Case
from strategies.geometry import Geometry
from strategies.simpler import simpler


@dataclass(frozen=True, slots=True)
class Minimized:
    """The result of a minimization.

    Attributes:
        case: the smallest failing case met.
        attempts: cases tried.
        complete: whether every one-step simplification of it was tried and does not fail so.
    """

    case: Case
    attempts: int
    complete: bool


def minimize(
    case: Case,
    geometry: Geometry,
    fails: Callable[[Case], bool],
    may_go_on: Callable[[int], bool],
    accepted: Callable[[Case], None] = lambda _: None,
    allowed: Callable[[Case], bool] = lambda _: True,
) -> Minimized:
    """Take the first simplification that still fails, again and again.

    Works on the case itself and not on the choices that drew it: a change of one axis is one
    attempt, which matters where a failing attempt costs a process or a deadline, and a case
    from a file is minimized like one just drawn.

    Args:
        case: a failing case.
        geometry: the target's sizes: a valid case stays valid, an invalid one invalid.
        fails: whether a case fails in the same way.
        may_go_on: given the attempts so far, whether another one may be made.
        accepted: told of every smaller failing case, so that an interruption loses nothing.
        allowed: whether a case may be tried at all; the others cost no attempt.
    """
    attempts = 0
    smaller = True
    while smaller:
        smaller = False
        for candidate in filter(allowed, simpler(case, geometry)):
            if not may_go_on(attempts):
                return Minimized(case, attempts, complete=False)
            attempts += 1
            if fails(candidate):
                case = candidate
                accepted(case)
                smaller = True
                break
    return Minimized(case, attempts, complete=True)
