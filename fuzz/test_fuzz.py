"""The fuzz itself, as pytest tests: one per property. Run with ``pytest fuzz``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fuzz import engine
from fuzz.campaign import Tally
from fuzz.claims import CLAIMS
from fuzz.errors import UsageProblem
from fuzz.events import Event, Found, KnownSeen, Notice
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.options import deadline_from, setup_seconds_from, wrap_from
from fuzz.report import finding_lines, headline
from fuzz.session import Options, Session
from fuzz.shared import Claims, Notes
from fuzz.target import Target


@dataclass(slots=True)
class Heard:
    """What the engine told since the last test began."""

    notes: Notes
    claims: Claims
    found: list[Found] = field(default_factory=list)
    known: list[KnownSeen] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Found):
            self.found.append(event)
            # At once: Ctrl-C may end this process before its test has a report.
            self.notes.add(_words(event))
            self.claims.told(event.finding.signature)
        elif isinstance(event, KnownSeen):
            self.known.append(event)
        elif isinstance(event, Notice):
            self.notes.add(event.text)


@pytest.fixture(scope="module")
def heard(notes: Notes, claims: Claims) -> Heard:
    return Heard(notes, claims)


@pytest.fixture(scope="module")
def claims(shared: Path) -> Iterator[Claims]:
    claims = Claims(shared)
    yield claims
    claims.close()


@pytest.fixture(scope="module")
def session(
    request: pytest.FixtureRequest, target: Target, heard: Heard, claims: Claims
) -> Iterator[Session]:
    options = Options(
        cases=request.config.getoption("--cases"),
        seed=request.config.getoption("--seed"),
        save_to=request.config.getoption("--save-to"),
        only_images=request.config.getoption("--only-images"),
        wrap=wrap_from(request.config.option),
    )
    with Supervisor(
        target,
        deadline=deadline_from(request.config.option),
        memory_limit_mib=request.config.getoption("--memory-limit"),
        fresh_process=request.config.getoption("--fresh-process"),
        wrap=options.wrap,
        setup_seconds=setup_seconds_from(request.config.option),
        notify=lambda text: heard(Notice(text)),
    ) as supervisor:
        try:
            session = engine.open_session(supervisor, target, options, heard)
        except SetupProblem as problem:
            details = problem.details if problem.kind == "broken" else ""
            raise _stopped(request, problem.message, details) from None
        except UsageProblem as problem:
            raise _stopped(request, str(problem)) from None
        except OSError as error:
            where = error.filename or options.save_to
            message = f"{where}: cannot be made or written: {error.strerror}"
            raise _stopped(request, message) from None
        session.claim = claims
        yield session


@pytest.mark.timeout(0)
@pytest.mark.parametrize("property_id", list(CLAIMS))
def test_property(
    request: pytest.FixtureRequest,
    session: Session,
    heard: Heard,
    claims: Claims,
    property_id: str,
) -> None:
    """The property holds for every generated case; known failures are expected."""
    heard.found.clear()
    heard.known.clear()
    process = getattr(request.config, "workerinput", {}).get("workerid", "")
    claims.holder = f"{request.node.name} in {process}" if process else request.node.name
    if reason := session.not_applicable(property_id):
        pytest.skip(f"not applicable: {reason}")
    tally = engine.fuzz_property(session, property_id)
    for line in _elsewhere(tally, heard, claims):
        request.node.user_properties.append(("ropefuzz_reported_elsewhere", line))
        heard.notes.add(f"{request.node.name}: {line}")
    problems = [_words(f) for f in heard.found if f.finding.status != "flaky"]
    if tally.fatal is not None:
        problems.append(f"could not go on: {tally.fatal}")
    if tally.broken:
        problems.append(f"could not judge: {'; '.join(tally.broken)}")
    if tally.interrupted:
        request.session.shouldstop = "stopped by Ctrl-C; what was found until then is kept"
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
    if tally.interrupted:
        pytest.skip(f"stopped by Ctrl-C after {tally.generated} cases")
    if heard.known:
        reasons = "; ".join(f"{k.entry.id}: {k.entry.reason}" for k in heard.known)
        pytest.xfail(f"known: {reasons}")


def _words(event: Found) -> str:
    return "\n".join(finding_lines(event.finding, event.path, event.note))


def _elsewhere(tally: Tally, heard: Heard, claims: Claims) -> Iterator[str]:
    """Say which failures were only counted, since another test reports them."""
    own = {f.finding.signature for f in heard.found}
    for signature, count in tally.again.items():
        if signature not in own:
            where = f" in {signature.where}" if signature.where else ""
            failed = "1 case failed" if count == 1 else f"{count} cases failed"
            yield (
                f"{failed} in a way that {claims.holder_of(signature)} reports: "
                f"{headline(signature, signature.what + where)}"
            )


def _stopped(request: pytest.FixtureRequest, message: str, details: str = "") -> BaseException:
    """Return a test's failure, and have it be the last: no other test would fare better."""
    # Not pytest.exit, which pytest-xdist takes for a crash, and whose words it drops.
    request.session.shouldstop = f"ropefuzz: {message}"
    text = "\n".join(filter(None, [f"ropefuzz: {message}", details]))
    return pytest.fail.Exception(text, pytrace=False)
