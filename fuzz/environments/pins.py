"""The transformers that a requirements or lock file asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from fuzz.errors import UsageProblem

NAMES: Final = (".txt", ".in", ".lock", "pylock.toml")
"""How the files end that are read: requirements (pip), and the locks of uv, Poetry, PDM, Pipenv and
PEP 751."""

_PACKAGE: Final = "transformers"
_LOCKED: Final = re.compile(
    rf'^name = "{_PACKAGE}"\s*\nversion = "(?P<version>[^"]+)"', re.MULTILINE
)


def pinned_in(path: Path) -> str:
    """Return the specifier or release that a file asks for, as in ``==5.2.0``.

    Args:
        path: the file. Files that it includes are not read.

    Raises:
        UsageProblem: it cannot be read, or asks for no transformers or for several.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageProblem(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageProblem(f"{path}: expected text") from None
    if text.lstrip().startswith("{"):
        found = _of_pipenv(path, text)
    elif path.name.endswith((".lock", ".toml")):
        found = {f"=={match['version']}" for match in _LOCKED.finditer(text)}
    else:
        found = _of_requirements(text)
    if len(found) != 1:
        said = f"asks for several: {', '.join(sorted(found))}" if found else "asks for none"
        raise UsageProblem(f"{path}: expected one {_PACKAGE}, but it {said}")
    (one,) = found
    if not one:
        raise UsageProblem(f"{path}: asks for {_PACKAGE} of any release; pin it, or name a release")
    return one


def _of_pipenv(path: Path, text: str) -> set[str]:
    try:
        locked = json.loads(text)["default"].get(_PACKAGE)
        return {str(locked["version"])} if locked is not None else set()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageProblem(f"{path}: expected a lock file of Pipenv") from None


def _of_requirements(text: str) -> set[str]:
    found = set()
    for line in text.replace("\\\n", " ").splitlines():
        bare = re.sub(r"(^|\s)(#|--).*", "", line).strip()
        try:
            requirement = Requirement(bare)
        except InvalidRequirement:
            continue  # an option, an include, or a path
        if requirement.name.lower() != _PACKAGE:
            continue
        if requirement.url is not None:
            raise UsageProblem(
                f"transformers from {requirement.url}: name a checkout by its folder"
            )
        if requirement.marker is None or requirement.marker.evaluate():
            found.add(str(requirement.specifier))
    return found
