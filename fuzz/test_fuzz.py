"""The fuzz itself, as pytest tests: one per property. Run with ``pytest fuzz``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from fuzz import engine
from fuzz.claims import CLAIMS
from fuzz.errors import UsageProblem
from fuzz.events import Event, Found, KnownSeen
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.report import finding_lines
from fuzz.target import Target


@dataclass(slots=True)
class Heard:
    """What the engine told since the last test began."""

    found: list[Found] = field(default_factory=list)
    known: list[KnownSeen] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Found):
            self.found.append(event)
        elif isinstance(event, KnownSeen):
            self.known.append(event)


@pytest.fixture(scope="module")
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="module")
def session(
    request: pytest.FixtureRequest, target: Target, heard: Heard
) -> Iterator[engine.Session]:
    options = engine.Options(
        cases=request.config.getoption("--cases"),
        seed=request.config.getoption("--seed"),
        save_to=request.config.getoption("--save-to"),
    )
    with Supervisor(target) as supervisor:
        try:
            yield engine.open_session(supervisor, target, options, heard)
        except (SetupProblem, UsageProblem) as problem:
            pytest.exit(f"ropefuzz: {problem}", returncode=2)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("property_id", list(CLAIMS))
def test_property(session: engine.Session, heard: Heard, property_id: str) -> None:
    """The property holds for every generated case; known failures are expected."""
    heard.found.clear()
    heard.known.clear()
    tally = engine.fuzz_property(session, property_id)
    if tally.interrupted:
        raise KeyboardInterrupt
    new = [f for f in heard.found if f.finding.status != "flaky"]
    if new:
        lines = [line for f in new for line in finding_lines(f.finding, f.path, f.note)]
        pytest.fail("\n".join(lines), pytrace=False)
    if tally.fatal is not None:
        pytest.fail(f"could not go on: {tally.fatal}", pytrace=False)
    if tally.broken:
        pytest.fail(f"could not judge: {'; '.join(tally.broken)}", pytrace=False)
    if heard.known:
        reasons = "; ".join(f"{k.entry.id}: {k.entry.reason}" for k in heard.known)
        pytest.xfail(f"known: {reasons}")
