"""Subjects for the tests of the worker side, built once each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from fuzz.target import Target, target_to_plain
from fuzz.verdict import Outcome
from strategies.case import Case

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject

Judge = Callable[..., Outcome]


@pytest.fixture(scope="session", autouse=True)
def loaded() -> None:
    """Import in a worker's order before any test does, whichever test comes first."""
    from fuzz.worker import serve

    serve.load(target_to_plain(Target()))


@pytest.fixture(scope="session")
def subject_of() -> Callable[..., Subject]:
    """Return subjects by what is said of their target; ``judge`` uses the last one asked for."""
    from fuzz.worker import serve

    kept: dict[Target, Any] = {}

    def get(*plants: str, **given: str) -> Any:
        target = Target(plants=plants, **given)
        if target not in kept:
            serve.prepare(target_to_plain(target))
            kept[target] = {k: serve._state[k] for k in ("subject", "not_applicable")}
        serve._state.update(kept[target])
        return kept[target]["subject"]

    return get


@pytest.fixture(scope="session")
def judge(subject_of: Callable[..., Subject]) -> Judge:
    """Check one case against one property, with plants and what else is said of the target."""
    from fuzz.worker import serve

    def check(property_id: str, case: Case, *plants: str, **target: str) -> Outcome:
        subject_of(*plants, **target).believed.clear()  # as in a fresh process
        return serve.judge(property_id, case)

    return check
