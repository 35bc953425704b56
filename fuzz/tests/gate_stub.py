"""A gate between two releases without processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fuzz.claims import ACROSS
from fuzz.environments.store import Environment
from fuzz.events import Event, Found, Listener
from fuzz.gate.result import Result
from fuzz.gate.run import Gate, Plans
from fuzz.isolation.errors import NoAnswer, SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.told import LateDeath, Ran, Ready
from fuzz.ledger import Entry
from fuzz.regression import Regression
from fuzz.session import Options
from fuzz.target import Target
from fuzz.tests.stub_run import PASS, Check
from fuzz.verdict import Outcome, Signature
from strategies.case import Case
from strategies.geometry import geometry_to_plain
from strategies.tests.examples import QWEN2_VL

SETTINGS: dict[str, Any] = {
    "config": {"rms_norm_eps": 1e-6},
    "rope": {"layer 0 theta": 1e6},
    "processor": {"min_pixels": 3136},
    "weights": {"lm_head.weight": [160, 128, 7]},
}


@dataclass
class Release:
    """One release, as its workers would behave.

    Attributes:
        version: of transformers.
        answer: what a check of a property gives.
        fresh: likewise, in processes of their own, where it is otherwise.
        value: what a case's result is, for version_agreement.
        settings: what is read back.
        problem: why it cannot be started.
        asked: cases checked.
        sources: the folder of its modeling_x.py, None where its workers die of being asked.
        runs: the lines of that file that a case runs.
    """

    version: str
    answer: Check = lambda _: PASS
    fresh: Check | None = None
    value: Any = lambda _: 0
    settings: Mapping[str, Any] = field(default_factory=lambda: SETTINGS)
    problem: SetupProblem | None = None
    asked: list[Case] = field(default_factory=list)
    sources: Path | None = Path("/nowhere")
    runs: Callable[[Case], list[int]] = lambda _: []
    gave: dict[str, Any] = field(default_factory=dict)
    predecessor: Ran | None = None
    in_hand: Ran | None = None
    worker_pid: int | None = None
    watch: Callable[[Mapping[str, list[int]]], None] | None = None

    def __enter__(self) -> Release:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def start(self) -> Ready:
        if self.problem is not None:
            raise self.problem
        info = {"geometry": geometry_to_plain(QWEN2_VL)}
        return Ready({"transformers": self.version}, info, 1, 0.1, 1)

    def ask(self, request: dict[str, Any]) -> Mapping[str, Any]:
        if request["op"] == "sources":
            if self.sources is None:
                raise NoAnswer(Outcome("crash", "SIGSEGV"))
            return {"root": str(self.sources), "files": ["modeling_x.py"]}
        assert request == {"op": "settings"}
        return self.settings

    def check(
        self,
        property_id: str,
        case: Case,
        guard: bool = False,
        against: Mapping[str, Any] | None = None,
    ) -> Outcome:
        return self._do(self.answer, property_id, case, guard, against)

    def check_fresh(
        self,
        property_id: str,
        case: Case,
        linger: float = 0.0,
        guard: bool = False,
        blocking: bool = False,
        against: Mapping[str, Any] | None = None,
    ) -> Outcome:
        assert linger >= 0
        assert not blocking
        return self._do(self.fresh or self.answer, property_id, case, guard, against)

    def explain(self, _: str, case: Case) -> list[tuple[str, str]]:
        return [("begins at", f"row {len(case.rows)}")]

    def late_deaths(self, _linger: float = 0.0) -> list[LateDeath]:
        return []

    def replace(self) -> None:
        return

    def _do(
        self,
        answer: Check,
        property_id: str,
        case: Case,
        guard: bool,
        against: Mapping[str, Any] | None,
    ) -> Outcome:
        assert not guard
        self.asked.append(case)
        if self.watch is not None:
            self.watch({"modeling_x.py": self.runs(case)})
        outcome = answer(case)
        if property_id != ACROSS.id or outcome.verdict != "pass":
            return outcome
        if against is None:
            self.gave = {"value": self.value(case)}
            return outcome
        if against["value"] == self.value(case):
            return outcome
        return Outcome("fail", "logits: differ", Signature(ACROSS.id, "fail", "logits"))


def gate(
    folder: Path,
    before: Release,
    after: Release,
    *properties: str,
    named: bool = True,
    saved: tuple[Regression, ...] = (),
    entries: tuple[Entry, ...] = (),
    events: list[Event] | None = None,
    families: tuple[str, ...] = ("qwen2_vl",),
    places: int = 1,
    listener: Listener | None = None,
    **options: Any,
) -> Result:
    """Run a gate between two releases and return its result.

    The releases are the same objects for all families; with more than one place each process has
    its own of them.
    """
    one = Environment("one", Path("/one"), before.version, before.version)
    two = Environment("two", Path("/two"), after.version, after.version)
    result = Result(before.version, after.version)
    heard = events if events is not None else []

    def supervise(_: Target, environment: Environment) -> Supervisor:
        return cast(Supervisor, before if environment is one else after)

    given: dict[str, Any] = {"cases": 30, "seed": 1, "save_to": folder, "confirm": 3, **options}
    plans = Plans(
        [Target(family=f) for f in families] if properties else [],
        named,
        Options(properties=properties, **given),
        saved,
    )
    Gate(one, two, supervise, entries, listener or heard.append, result).run(plans, places)
    return result


def found_in(events: list[Event]) -> list[Found]:
    return [e for e in events if isinstance(e, Found)]
