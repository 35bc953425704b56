"""Which transformers is meant: a release, a checkout, a wheel or an sdist."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from fuzz.environments.pins import NAMES, pinned_in
from fuzz.errors import UsageProblem

INSTALLED: Final = "installed"
NEWEST: Final = "newest"
PACKAGE: Final = "transformers"
_SOURCES: Final = (".whl", ".tar.gz", ".zip")
_READ: Final = ("*.py", "*.toml", "*.cfg", "*.txt")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One transformers, named so that pip understands it.

    Attributes:
        name: of the environment's folder, and on the command line.
        pip: what pip is given.
        version: the release, "" where only building tells.
        source: the folder or file that it is made from, None for a release of the index.
    """

    name: str
    pip: str
    version: str = ""
    source: Path | None = None

    def stamp(self) -> str:
        """Return what changes when the source does, "" for a release of the index.

        Raises:
            UsageProblem: the source is gone or cannot be read.
        """
        if self.source is None:
            return ""
        try:
            if self.source.is_file():
                return hashlib.sha256(self.source.read_bytes()).hexdigest()
            return _stamp_of_folder(self.source)
        except OSError as error:
            raise UsageProblem(f"{self.source}: cannot be read: {error.strerror}") from None


def parse(text: str, releases: Callable[[], Sequence[str]]) -> Requirement:
    """Return what a person means by a requirement.

    Args:
        text: a release ("5.2.0"), a specifier ("transformers>=5.2,<5.3": the newest that fits),
            ``newest``, the path of a checkout, a wheel or an sdist, or that of a requirements or
            lock file that asks for one.
        releases: the releases of the index, ascending; asked only where it must be.

    Raises:
        UsageProblem: it is none of these, or no release fits.
    """
    path = Path(text).expanduser()
    if path.name.endswith(NAMES) and not path.is_dir():
        text = pinned_in(path)
    elif path.exists() or "/" in text or text.endswith(_SOURCES):
        return _of_path(path)
    given = re.sub(rf"^{PACKAGE}\s*", "", text.strip())
    try:
        version = str(Version(given.removeprefix("==")))
        return Requirement(version, f"{PACKAGE}=={version}", version)
    except InvalidVersion:
        pass
    try:
        wanted = SpecifierSet("" if given == NEWEST else given)
    except InvalidSpecifier:
        raise UsageProblem(
            f"{text!r} is no release of transformers, no specifier and no path; e.g. 5.2.0, "
            "'transformers>=5.2,<5.3', newest, ./transformers"
        ) from None
    fitting = [r for r in releases() if wanted.contains(Version(r))]
    if not fitting:
        raise UsageProblem(f"no release of transformers fits {given!r}")
    return Requirement(fitting[-1], f"{PACKAGE}=={fitting[-1]}", fitting[-1])


def _of_path(path: Path) -> Requirement:
    if not path.exists():
        raise UsageProblem(f"{path}: no such folder or file")
    path = path.resolve()
    if path.is_dir() and not any((path / n).is_file() for n in ("setup.py", "pyproject.toml")):
        raise UsageProblem(f"{path}: no setup.py and no pyproject.toml, so it is no checkout")
    if path.is_file() and not path.name.endswith(_SOURCES):
        raise UsageProblem(f"{path}: expected a wheel (.whl) or an sdist (.tar.gz, .zip)")
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
    stem = re.sub(r"[^A-Za-z0-9.]+", "-", path.name)[:40]
    return Requirement(f"{stem}-{digest}", str(path), source=path)


def _stamp_of_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    # What a build reads: not the repository's history, nor what others have built there.
    roots = [p for p in (folder / "src",) if p.is_dir()] or [folder]
    files = {p for root in roots for pattern in _READ for p in root.rglob(pattern)}
    files |= {p for pattern in _READ for p in folder.glob(pattern)}
    for file in sorted(files):
        state = file.stat()
        digest.update(
            f"{file.relative_to(folder)}\0{state.st_size}\0{state.st_mtime_ns}\n".encode()
        )
    return digest.hexdigest()
