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


@pytest.fixture(scope="session")
def subject_of() -> Callable[..., Subject]:
    """Return subjects by their plants; the one that ``judge`` uses is the last one asked for."""
    from fuzz.worker import serve

    kept: dict[tuple[str, ...], Any] = {}

    def get(*plants: str) -> Any:
        target = target_to_plain(Target(plants=plants))
        if not kept:
            serve.load(target)
        if plants not in kept:
            serve.prepare(target)
            kept[plants] = serve._state["subject"]
        serve._state["subject"] = kept[plants]
        return kept[plants]

    return get


@pytest.fixture(scope="session")
def judge(subject_of: Callable[..., Subject]) -> Judge:
    """Check one case against one property, with plants."""
    from fuzz.worker import serve

    def check(property_id: str, case: Case, *plants: str) -> Outcome:
        subject_of(*plants)
        return serve.judge(property_id, case)

    return check
