"""Which family a checkpoint directory is of."""

from __future__ import annotations

import json
from pathlib import Path

from fuzz.errors import UsageProblem
from fuzz.families import FAMILIES


def family_in(folder: Path) -> str:
    """Return the family that the ``config.json`` of a checkpoint directory names.

    Raises:
        UsageProblem: it is missing, cannot be read, or names no known family.
    """
    file = folder / "config.json"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageProblem(f"{file}: no such file; a model directory needs a config.json") from None
    except OSError as error:
        raise UsageProblem(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageProblem(f"{file}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise UsageProblem(f"{file}: expected a JSON object, got {type(data).__name__}")
    name = data.get("model_type")
    if not isinstance(name, str) or name not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise UsageProblem(f"{file}: model_type {name!r} is none of the families: {known}")
    return name
