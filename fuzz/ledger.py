"""The Ledger: the failures that are known, why, and for which releases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from fuzz.errors import UsageProblem
from fuzz.families import FAMILIES
from fuzz.files import read_json, write_text
from fuzz.regression import LEDGER
from fuzz.target import ATTENTION, Target
from fuzz.verdict import Signature
from strategies.case import DEFAULT, Case, media_of, videos_of

FORMAT_VERSION: Final = 1
UNLISTED: Final = "unlisted"


@dataclass(frozen=True, slots=True)
class Entry:
    """One known failure.

    Attributes:
        id: short name.
        families: model families it was seen in; :data:`UNLISTED` stands for all that have no file
            of data, where the fault lies in code that models share.
        signatures: every form it shows in (a wrong shape dies where it is first used, which
            depends on the attention implementation).
        reason: what is wrong, in one sentence.
        evidence: why we believe it is upstream's and not our misuse.
        url: upstream's report, "" while there is none.
        affects: transformers releases that have it, as a PEP 440 specifier.
        first_seen: ISO 8601 date.
        last_seen: ISO 8601 date.
        expires: ISO 8601 date from which it counts as new again, "" for never.
        attn: attention implementation of the target that it is limited to, "" for any.
        when: fields of a case and the values they must have, so that the entry does not cover
            what fails alike for another reason, ``true`` of a field that is not itself true or
            false for any value but its default; empty for any case.
        sliding_window: whether it is limited to targets whose text model has a sliding window.
        images: whether it is limited to cases with an image, a video or audio.
        videos: whether it is limited to cases with a video.
    """

    id: str
    families: tuple[str, ...]
    signatures: tuple[Signature, ...]
    reason: str
    evidence: str
    url: str
    affects: str
    first_seen: str
    last_seen: str
    expires: str = ""
    attn: str = ""
    when: Mapping[str, Any] = field(default_factory=dict)
    sliding_window: bool = False
    images: bool = False
    videos: bool = False


def load(folder: Path) -> tuple[Entry, ...]:
    """Read the ledger of a regressions folder; a folder without one knows nothing.

    Raises:
        UsageProblem: the ledger cannot be used; the message names the file and what is wrong.
    """
    path = folder / LEDGER
    if not path.exists():
        return ()
    data = read_json(path, "a ledger", FORMAT_VERSION)
    entries = data.get("known")
    if not isinstance(entries, list):
        raise UsageProblem(f"{path}: expected a list under 'known'")
    return tuple(_entry(item, f"{path}: known[{i}]") for i, item in enumerate(entries))


def save(folder: Path, entries: Iterable[Entry]) -> None:
    """Write the ledger of a regressions folder, sorted by id, one line a value.

    Raises:
        OSError: it cannot be written; what stood there stays.
    """
    known = [_to_plain(entry) for entry in sorted(entries, key=lambda e: e.id)]
    data = {"format_version": FORMAT_VERSION, "known": known}
    write_text(
        folder / LEDGER, json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    )


def shipped() -> tuple[Entry, ...]:
    """Return the ledger of upstream's bugs that ropefuzz ships with."""
    return load(Path(__file__).resolve().parent.parent / "regressions")


def known(
    entries: tuple[Entry, ...],
    target: Target,
    signature: Signature,
    case: Case,
    release: str,
    sliding_window: int = 0,
) -> Entry | None:
    """Return the entry that expects this failure of this case on this target, if any.

    Args:
        entries: the ledger in force.
        target: what was run.
        signature: how it failed.
        case: what it failed with.
        release: transformers' version.
        sliding_window: tokens that the target's sliding attention sees, 0 if there is none.
    """
    for entry in entries:
        if not covers(entry, target, signature, case, sliding_window) or expired(entry):
            continue
        if affects(entry, release):
            return entry
    return None


def covers(
    entry: Entry, target: Target, signature: Signature, case: Case, sliding_window: int = 0
) -> bool:
    """Tell whether an entry is about this failure of this case on this target, in any release."""
    if target.family not in FAMILIES and UNLISTED in entry.families:
        if _shared(signature) not in map(_shared, entry.signatures):
            return False
    elif target.family not in entry.families or signature not in entry.signatures:
        return False
    if entry.attn not in ("", target.attn) or (entry.sliding_window and not sliding_window):
        return False
    if entry.images and not any(map(media_of, case.rows)):
        return False
    if entry.videos and not any(map(videos_of, case.rows)):
        return False
    return all(_has(case, name, value) for name, value in entry.when.items())


def _has(case: Case, name: str, value: object) -> bool:
    has, default = getattr(case, name), getattr(DEFAULT, name)
    if value is True and not isinstance(default, bool):
        return bool(has != default)
    return bool(has == value)


def _shared(signature: Signature) -> Signature:
    """Return a signature without the class that a method of code shared by models was called on."""
    parts = signature.where.split(".")
    if len(parts) != 3 or parts[0].startswith("modeling_"):
        return signature
    return replace(signature, where=f"{parts[0]}.{parts[2]}")


def expired(entry: Entry) -> bool:
    """Tell whether an entry counts no longer."""
    return bool(entry.expires) and date.fromisoformat(entry.expires) <= date.today()


def affects(entry: Entry, release: str) -> bool:
    """Tell whether a release of transformers is among those that have the failure."""
    return SpecifierSet(entry.affects).contains(Version(release), prereleases=True)


def _to_plain(entry: Entry) -> dict[str, Any]:
    plain = {f.name: getattr(entry, f.name) for f in fields(Entry) if f.name != "families"}
    families = entry.families
    return {
        # What is at its default is left out, except for the fields that a reader looks for.
        **{k: v for k, v in plain.items() if v or k in ("evidence", "url", "when")},
        "family": families[0] if len(families) == 1 else sorted(families),
        "signatures": [{k: v for k, v in asdict(s).items() if v} for s in entry.signatures],
        "when": dict(entry.when),
    }


def _entry(item: Any, where: str) -> Entry:  # noqa: ANN401 - any JSON value
    try:
        family = item["family"]
        entry = Entry(
            **{
                **{name: value for name, value in item.items() if name != "family"},
                # One name, or a list of names.
                "families": (family,) if isinstance(family, str) else tuple(family),
                "signatures": tuple(Signature(**s) for s in item["signatures"]),
            }
        )
        SpecifierSet(entry.affects)
        unknown = set(entry.when) - {f.name for f in fields(Case)}
        if any(isinstance(value, (list, dict)) for value in entry.when.values()):
            raise ValueError("'when' compares single values, not lists or objects")
        if entry.attn and entry.attn not in ATTENTION:
            raise ValueError(f"'attn' is {entry.attn!r}; known: {', '.join(ATTENTION)}")
        if not isinstance(entry.sliding_window, bool):
            raise ValueError(f"'sliding_window' is {entry.sliding_window!r}, not true or false")
        for name in ("images", "videos"):
            if not isinstance(value := getattr(entry, name), bool):
                raise ValueError(f"{name!r} is {value!r}, not true or false")
        if unknown:
            raise ValueError(f"'when' names no field of a case: {', '.join(sorted(unknown))}")
        if entry.expires:
            date.fromisoformat(entry.expires)
    except InvalidSpecifier as error:
        raise UsageProblem(f"{where}: 'affects' is not a PEP 440 specifier: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise UsageProblem(f"{where}: not a ledger entry: {error}") from None
    return entry
