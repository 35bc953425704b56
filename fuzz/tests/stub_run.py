"""A run over a supervisor without processes, for the tests of the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fuzz import engine, ledger
from fuzz.events import Event, Found
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.told import LateDeath, Ran, Ready
from fuzz.session import Options, Report
from fuzz.target import Target
from fuzz.verdict import Outcome, Signature
from strategies.case import Case, Image, has_images
from strategies.geometry import geometry_to_plain
from strategies.tests.examples import QWEN2_VL

Check = Callable[[Case], Outcome]

PASS = Outcome("pass")
ONE_IMAGE = Case(rows=((Image(1, 1),),))
STATIC = Case(cache="static")


def failing(what: str) -> Outcome:
    return Outcome("error", f"{what} broke", Signature("no_crash", "error", what))


def images_fail(case: Case) -> Outcome:
    return failing("images") if has_images(case) else PASS


def entry(**changes: Any) -> ledger.Entry:
    given: dict[str, Any] = {
        "id": "known-images",
        "families": ("qwen2_vl",),
        "signatures": (Signature("no_crash", "error", "images"),),
        "reason": "r",
        "evidence": "e",
        "url": "",
        "affects": ">=4",
        "first_seen": "2026-01-01",
        "last_seen": "2026-01-01",
    }
    return ledger.Entry(**{**given, **changes})


@dataclass
class Stub:
    """A supervisor without processes."""

    answer: Check
    fresh: Check | None = None
    threads: int = 1
    unchecked: tuple[str, ...] = ()
    not_applicable: dict[str, str] = field(default_factory=dict)
    checked: list[Case] = field(default_factory=list)
    confirmed: list[Case] = field(default_factory=list)
    late: list[LateDeath] = field(default_factory=list)
    lingered: list[float] = field(default_factory=list)
    predecessor: Ran | None = None
    in_hand: Ran | None = None
    replaced: int = 0

    def start(self) -> Ready:
        info = {
            "geometry": geometry_to_plain(QWEN2_VL),
            "unchecked": self.unchecked,
            "not_applicable": self.not_applicable,
        }
        return Ready({"transformers": "5.0.0", "torch": "2.9"}, info, 1, 0.5, self.threads)

    def check(self, _: str, case: Case) -> Outcome:
        self.checked.append(case)
        return self.answer(case)

    def check_fresh(self, _: str, case: Case, linger: float = 0.0) -> Outcome:
        self.confirmed.append(case)
        self.lingered.append(linger)
        return (self.fresh or self.answer)(case)

    def explain(self, _: str, case: Case) -> list[tuple[str, str]]:
        return [("begins at", f"row {len(case.rows)}")]

    def late_deaths(self, _linger: float = 0.0) -> list[LateDeath]:
        late, self.late = self.late, []
        return late

    def replace(self) -> None:
        self.replaced += 1


@dataclass
class Bench:
    """Runs the engine on a stub and keeps what it told."""

    folder: Path
    events: list[Event] = field(default_factory=list)

    def __call__(self, stub: Stub, **options: Any) -> Report:
        given = {"properties": ("no_crash",), "cases": 40, "seed": 1, "save_to": self.folder}
        return engine.run(
            cast(Supervisor, stub), Target(), Options(**{**given, **options}), self.events.append
        )

    @property
    def found(self) -> list[Found]:
        return [e for e in self.events if isinstance(e, Found)]

    def saved(self) -> list[str]:
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*.json"))
