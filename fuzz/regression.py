"""The Regression: a finding saved as a file, under a kilobyte, to be replayed."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from fuzz.claims import ACROSS, CLAIMS
from fuzz.errors import UsageProblem
from fuzz.families import FAMILIES
from fuzz.files import locked, read_json, write_json
from fuzz.finding import Finding, takes_two
from fuzz.plants import PLANT_NAMES
from fuzz.target import ATTENTION, DTYPES, REAL, WEIGHTS, Target, target_from_plain, target_to_plain
from fuzz.verdict import Signature
from strategies.case import Case, from_plain, to_json, to_plain
from strategies.reading import CaseError
from strategies.simpler import size_of
from strategies.words import describe

FORMAT_VERSION: Final = 1
LEDGER: Final = "ledger.json"
GATE: Final = "gate"
"""The folder of what shows only where two releases are compared."""


@dataclass(frozen=True, slots=True)
class Regression:
    """What a regression file says.

    Attributes:
        path: the file.
        property: the property to check.
        case: the case.
        signature: how it failed when it was saved.
        message: what broke, in words.
        target: what it failed on; ``plants`` names the defects that were planted then.
        versions: package versions it failed with.
        said: what looking closer had shown, as (label, sentence).
    """

    path: Path
    property: str
    case: Case
    signature: Signature
    message: str
    target: Target
    versions: Mapping[str, str]
    said: tuple[tuple[str, str], ...] = ()


def save(
    finding: Finding, folder: Path, still_fails: Callable[[Case], bool] = lambda _: True
) -> tuple[Path, bool]:
    """Save a finding under ``folder/<family>/<property>-<fingerprint>.json``.

    A file that holds the same failure of the same target with a case at most as large is left as
    it is, if that case still fails. One that it cannot stand for stays, and the finding is saved
    beside it, with a digest of its case and target in the name. A flaky finding is kept apart, in
    a folder ``flaky`` below, where replays do not look; so is, in a folder ``gate``, one that shows
    only where two releases are compared.

    Args:
        finding: the finding.
        folder: of regressions.
        still_fails: whether a case fails in this way on this target.

    Returns:
        The file, and whether it was written.

    Raises:
        OSError: it cannot be written.
    """
    name = f"{finding.signature.property}-{finding.signature.fingerprint}.json"
    path = folder / finding.target.family / name
    if finding.status == "flaky":
        path = path.parent / "flaky" / name
    elif takes_two(finding.property, finding.signature):
        path = path.parent / GATE / name
    # Others may save the same failure in the same folder at this moment: the smaller one stays.
    with locked(path.parent):
        if path.exists():
            try:
                before = load(path)
            except UsageProblem:
                before = None  # what stands there is not readable; the new finding takes its place
            if before is not None and before.target != finding.target:
                path = path.with_name(_own_name(finding))
            elif before is not None and size_of(before.case) <= size_of(finding.case):
                if before.case == finding.case or still_fails(before.case):
                    return path, False
                path = path.with_name(_own_name(finding))
        write_json(path, _to_plain(finding))
    return path, True


def _own_name(finding: Finding) -> str:
    text = to_json(finding.case) + json.dumps(target_to_plain(finding.target), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    return f"{finding.signature.property}-{finding.signature.fingerprint}-{digest}.json"


def save_unjudged(
    property_id: str, case: dict[str, Any], target: dict[str, Any], path: Path
) -> None:
    """Save the case that a dead run left in its journal, in the form that a replay reads.

    Raises:
        CaseError: the case is not one.
        OSError: it cannot be written.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    finding = Finding(
        property=property_id,
        signature=Signature("no_crash", "crash", "the driver died"),
        message="the run died while this case was being checked; it was never judged",
        case=from_plain(case),
        first=from_plain(case),
        target=target_from_plain(target),
        versions={},
        runs=0,
        failed=0,
        attempts=0,
        complete=False,
        details="",
        date=now.date().isoformat(),
    )
    write_json(path, _to_plain(finding))


def load(path: Path) -> Regression:
    """Read a regression file.

    Raises:
        UsageProblem: it cannot be used; the message names the file and what is wrong.
    """
    data = read_json(path, "a regression", FORMAT_VERSION)
    try:
        signature = Signature(**data["signature"])
        target = Target(
            family=_family(data["family"], data.get("model", "")),
            model=str(data.get("model", "")),
            attn=_one_of(data["attn"], ATTENTION),
            dtype=_one_of(data["dtype"], DTYPES),
            device=str(data["device"]),
            plants=_plants(data.get("plants", [])),
            weights=_one_of(data.get("weights", "random"), WEIGHTS),
        )
        return Regression(
            path=path,
            property=_one_of(data["property"], (*CLAIMS, ACROSS.id)),
            case=from_plain(data["case"]),
            signature=signature,
            message=str(data["message"]),
            target=target,
            versions=dict(data["versions"]),
            said=tuple((str(label), str(text)) for label, text in data.get("said", ())),
        )
    except KeyError as error:
        raise UsageProblem(f"{path}: not a regression: the field {error} is missing") from None
    except (CaseError, TypeError, ValueError) as error:
        raise UsageProblem(f"{path}: not a regression: {error}") from None


def regressions_in(folder: Path, gate: bool = False) -> list[Path]:
    """Return the regression files below a folder, sorted: no ledger, nothing flaky.

    Args:
        folder: of regressions.
        gate: those too that show only where two releases are compared.
    """
    apart = ("flaky",) if gate else ("flaky", GATE)
    return sorted(
        p
        for p in folder.rglob("*.json")
        if p.name != LEDGER
        and not any(part in apart or part.startswith(".") for part in p.relative_to(folder).parts)
    )


def _to_plain(finding: Finding) -> dict[str, Any]:
    target = finding.target
    data: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "family": target.family,
        "property": finding.property,
        "case": to_plain(finding.case),
        "words": describe(finding.case),
        "signature": {k: v for k, v in asdict(finding.signature).items() if v},
        "message": finding.message,
        "versions": dict(finding.versions),
        "attn": target.attn,
        "dtype": target.dtype,
        "device": target.device,
        "confirmed": f"{finding.failed} of {finding.runs}",
        "found": finding.date,
    }
    if finding.said:
        data["said"] = [list(line) for line in finding.said]
    if target.plants:
        data["plants"] = list(target.plants)
    if target.model:
        data["model"] = target.model
    if target.weights == REAL:
        data["weights"] = target.weights
    return data


def _plants(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"plants: expected a list of names, got {value!r}")
    return tuple(_one_of(name, PLANT_NAMES) for name in value)


def _family(value: object, model: object) -> str:
    # One that has no file of data is read off the directory.
    return value if model and isinstance(value, str) and value else _one_of(value, FAMILIES)


def _one_of(value: object, known: Any) -> str:  # noqa: ANN401 - any collection of names
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"expected one of {', '.join(sorted(known))}, got {value!r}")
    return value
