"""Asking an envelope: a module of its own without any import of ropefuzz, for input checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1


def load(path: str | Path) -> dict[str, Any]:
    """Read an envelope.

    Raises:
        ValueError: the file is none, or of another version.
        OSError: it cannot be read.
    """
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.get("kind") != "ropefuzz envelope":
        raise ValueError(f"{path}: no envelope of ropefuzz")
    if data.get("format_version") != FORMAT_VERSION:
        raise ValueError(f"{path}: format_version {data.get('format_version')!r} is unknown")
    return data


def verdict(envelope: dict[str, Any], plane: str, x: int, y: int) -> str:
    """Return what was found of a pair of numbers.

    Args:
        envelope: as :func:`load` gives it.
        plane: ``images`` (x is the width, y the height, in pixels) or ``prompts`` (x text tokens,
            y columns of padding).
        x: the first number.
        y: the second number.

    Returns:
        ``verified``, ``refused``, ``fails``, or ``unknown`` outside of what was tried.
    """
    for first, last, said in envelope.get(plane, {}).get("rows", {}).get(str(x), ()):
        if first <= y <= last:
            return str(said)
    return "unknown"
