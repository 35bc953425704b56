"""What is written beside a finished environment, and whether it still holds."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fuzz.errors import UsageProblem
from fuzz.files import read_json, write_json

FORMAT_VERSION: Final = 1
MANIFEST: Final = "ropefuzz-environment.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an environment holds.

    Attributes:
        requirement: what pip was given.
        stamp: of the checkout or file that it was made from, "" for a release of the index.
        packages: versions of what it holds, by name.
        shared: versions of what those need of the running environment, by name.
        bytes: its size when it was built.
        seconds: how long that took.
    """

    requirement: str
    stamp: str
    packages: Mapping[str, str]
    shared: Mapping[str, str]
    bytes: int
    seconds: float


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder: it says that the folder is complete.

    Raises:
        OSError: it cannot be written.
    """
    write_json(folder / MANIFEST, {"format_version": FORMAT_VERSION, **asdict(manifest)})


def read(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, None where there is none that can be used."""
    try:
        data = read_json(folder / MANIFEST, "an environment", FORMAT_VERSION)
        return Manifest(**{k: v for k, v in data.items() if k != "format_version"})
    except (UsageProblem, TypeError):
        return None


def unsound(folder: Path, manifest: Manifest | None, stamp: str) -> str:
    """Return why an environment must be built again, "" where it need not.

    Args:
        folder: the environment.
        manifest: its manifest.
        stamp: of its source as it is now.
    """
    if manifest is None:
        return "it is incomplete"
    if manifest.stamp != stamp:
        return "its source has changed"
    for name, version in manifest.shared.items():
        now = installed_version(name)
        if now != version:
            return f"{name} of the running environment is now {now or 'missing'}, not {version}"
    lost = _lost(folder)
    return f"{lost} is missing or has changed" if lost else ""


def held_by(folder: Path) -> dict[str, str]:
    """Return the versions of the packages in a folder, by name."""
    return {
        canonicalize_name(d.metadata["Name"]): d.version
        for d in metadata.distributions(path=[str(folder)])
    }


def requirements_of(folder: Path, package: str) -> list[Requirement]:
    """Return what a package in a folder needs here, its extras left out."""
    for found in metadata.distributions(path=[str(folder)]):
        if canonicalize_name(found.metadata["Name"]) == package:
            return _needs(found)
    return []


def shared_by(folder: Path) -> dict[str, str]:
    """Return the versions of what the packages of a folder need and find outside of it."""
    held = held_by(folder)
    shared: dict[str, str] = {}
    waiting = [r for d in metadata.distributions(path=[str(folder)]) for r in _needs(d)]
    while waiting:
        name = canonicalize_name(waiting.pop().name)
        if name in held or name in shared:
            continue
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        shared[name] = found.version
        waiting += _needs(found)
    return shared


def installed_version(name: str) -> str:
    """Return the version of a package in the running environment, "" where it is missing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def size_of(folder: Path) -> int:
    """Return the bytes of the files below a folder."""
    return sum(p.lstat().st_size for p in folder.rglob("*") if not p.is_dir())


def _needs(found: metadata.Distribution) -> list[Requirement]:
    needs = []
    for text in found.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        environment: dict[str, Any] = {"extra": ""}
        if requirement.marker is None or requirement.marker.evaluate(environment):
            needs.append(requirement)
    return needs


def _lost(folder: Path) -> str:
    """Return the first file that is not as it was installed, "" if all are."""
    records = list(folder.glob("*.dist-info/RECORD"))
    if not records:
        return "every package"
    for record in records:
        with record.open(newline="", encoding="utf-8") as file:
            for name, _, size in csv.reader(file):
                if name.startswith("..") or name.endswith(".pyc") or not size:
                    continue
                try:
                    there = (folder / name).stat().st_size == int(size)
                except (OSError, ValueError):
                    there = False
                if not there:
                    return name
    return ""
