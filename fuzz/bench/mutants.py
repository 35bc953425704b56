"""``ropefuzz bench mutants``: which planted defects are seen, in every family that has the code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from fuzz.bench import faults as matrix
from fuzz.bench.machine import machine
from fuzz.bench.together import on_all_cores
from fuzz.claims import CLAIMS
from fuzz.errors import choose
from fuzz.families import FAMILIES, family_of
from fuzz.files import read_json, write_json
from fuzz.isolation.deadline import Deadline
from fuzz.isolation.errors import SetupProblem
from fuzz.isolation.supervisor import Supervisor
from fuzz.plants import PLANTS
from fuzz.selfcheck import MEMORY_LIMIT_MIB, expected_to_be_missed, lane_of, search_for
from fuzz.target import Target

FORMAT_VERSION: Final = 1
KILLED: Final = "killed"
SURVIVED: Final = "survived"
EQUIVALENT: Final = "equivalent"
RESULTS: Final = {"caught": KILLED, "MISSED": SURVIVED, "expected": EQUIVALENT}
FAULTS: Final = ("abort", "hang", "exit", "sticky-device-error")
"""Plants that are no defects of the code, but deaths of its process."""
MUTATIONS: Final = tuple(name for name in PLANTS if name not in FAULTS)
DEADLINE: Final = (10.0, 60.0)
"""Seconds: what is slow on a busy machine is not what a defect did."""
MARKS: Final = {KILLED: "k", SURVIVED: "**S**", EQUIVALENT: "-"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One defect in one family.

    Attributes:
        family: the family.
        plant: the defect's name.
        result: ``killed`` by the property that must see it; ``survived``; ``equivalent`` where
            it changes nothing that any claim is about, or there is no code to break.
        said: by what it was killed, or why it cannot be.
    """

    family: str
    plant: str
    result: str
    said: str

    @property
    def property(self) -> str:
        """The property that must see it."""
        return PLANTS[self.plant].killer


@dataclass(slots=True)
class Mutants:
    """What was measured so far.

    Attributes:
        found: by family and plant.
        machine: where and with what.
    """

    found: dict[tuple[str, str], Mutant] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=machine)


def main(only: Sequence[str], path: Path | None) -> int:
    """Plant every defect in every family, and print the matrix; 1 if one survived.

    Args:
        only: families, none for all.
        path: a file that keeps what was seen, so that a second call goes on from there.

    Raises:
        UsageProblem: a family is unknown, or the file cannot be read.
    """
    families = [choose("family", name, FAMILIES) for name in only] or list(FAMILIES)
    mutants = kept(path)
    left = {
        family: [name for name in MUTATIONS if (family, name) not in mutants.found]
        for family in families
    }
    jobs = [partial(_in_family, family, names) for family, names in left.items() if names]
    try:
        with on_all_cores(jobs) as done:
            for found, problem in done:
                for mutant in found:
                    mutants.found[mutant.family, mutant.plant] = mutant
                print("\n".join([*map(_line, found), *filter(None, [problem])]), flush=True)
                _keep(path, mutants)
    except KeyboardInterrupt:
        print("stopped; what was seen is kept" if path else "stopped")
    print("\n".join(lines(list(mutants.found.values()))))
    return 1 if any(m.result == SURVIVED for m in mutants.found.values()) else 0


def _in_family(family: str, names: Sequence[str]) -> tuple[list[Mutant], str]:
    """Return what became of each defect in a family, and why the family cannot be had, if so."""
    target = Target(family, attn=family_of(family).attention)
    found = []
    try:
        with Supervisor(
            target,
            worker_module=matrix.WORKER,
            memory_limit_mib=MEMORY_LIMIT_MIB["cpu"],
            deadline=Deadline(*DEADLINE),
        ) as supervisor:
            info = supervisor.start().info
            lane = lane_of(target, info)
            for name in names:
                reason = expected_to_be_missed(name, lane)
                result, said = (
                    ("expected", reason) if reason else search_for(PLANTS[name], supervisor, info)
                )
                found.append(Mutant(family, name, RESULTS[result], said))
    except SetupProblem as problem:
        return found, f"{family}: {problem.message}"
    return found, ""


def _line(mutant: Mutant) -> str:
    return f"{mutant.family:<16} {mutant.plant:<28} {mutant.result:<10} {mutant.said}"


def lines(found: Sequence[Mutant]) -> list[str]:
    """Return score, matrix, survivors and the argument for each equivalent one, as Markdown."""
    return [
        score(found),
        "",
        *_by(found, "property", [c for c in CLAIMS if any(m.property == c for m in found)]),
        "",
        *_by(found, "family", list(dict.fromkeys(m.family for m in found))),
        "",
        *_matrix(found),
        "",
        *_arguments(found),
    ]


def score(found: Iterable[Mutant]) -> str:
    """Return the mutation score as a sentence."""
    counts = Counter(m.result for m in found)
    judged = counts[KILLED] + counts[SURVIVED]
    share = f" ({counts[KILLED] / judged:.1%})" if judged else ""
    return (
        f"{counts[KILLED]} of {judged} planted defects killed by the property that must see "
        f"them{share}; {counts[EQUIVALENT]} without effect where they were planted"
    )


def _by(found: Sequence[Mutant], what: str, names: Sequence[str]) -> list[str]:
    rows = [f"| {what} | killed | survived | equivalent |", "|---|---|---|---|"]
    for name in names:
        counts = Counter(m.result for m in found if getattr(m, what) == name)
        rows.append(f"| `{name}` | {counts[KILLED]} | {counts[SURVIVED]} | {counts[EQUIVALENT]} |")
    return rows


def _matrix(found: Sequence[Mutant]) -> list[str]:
    """Return plants down, families across: k killed, S survived, - equivalent."""
    families = list(dict.fromkeys(m.family for m in found))
    table = {(m.family, m.plant): MARKS[m.result] for m in found}
    return [
        f"| defect | property | {' | '.join(families)} |",
        f"|{'---|' * (len(families) + 2)}",
        *(
            f"| `{name}` | `{PLANTS[name].killer}` | "
            f"{' | '.join(table.get((f, name), '') for f in families)} |"
            for name in PLANTS
            if any(m.plant == name for m in found)
        ),
    ]


def _arguments(found: Sequence[Mutant]) -> list[str]:
    """Return why survivors survived and equivalent ones have no effect, alike ones together."""
    said: dict[tuple[str, str, str], list[str]] = {}
    for m in found:
        if m.result != KILLED:
            said.setdefault((m.result, m.plant, m.said), []).append(m.family)
    return [
        f"- `{plant}` {result} in {', '.join(families)}: {why}"
        for (result, plant, why), families in sorted(said.items(), reverse=True)
    ]


def kept(path: Path | None) -> Mutants:
    """Read results, empty where there are none yet.

    Raises:
        UsageProblem: they cannot be read.
    """
    if path is None or not path.exists():
        return Mutants()
    data = read_json(path, "results of ropefuzz bench mutants", FORMAT_VERSION)
    found = [Mutant(**mutant) for mutant in data["mutants"] if mutant["plant"] in PLANTS]
    return Mutants({(m.family, m.plant): m for m in found}, data["machine"])


def _keep(path: Path | None, mutants: Mutants) -> None:
    if path is None:
        return
    plain = [asdict(mutants.found[key]) for key in sorted(mutants.found)]
    write_json(
        path,
        {"format_version": FORMAT_VERSION, "machine": dict(mutants.machine), "mutants": plain},
    )
    path.with_suffix(".md").write_text("\n".join(lines(list(mutants.found.values()))) + "\n")
