"""Reading and writing the files that ropefuzz keeps."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from fuzz.errors import UsageProblem


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write sorted, indented JSON, all of it or nothing.

    Raises:
        OSError: the folder cannot be made or written; no half-written file is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _pretty(data) + "\n"
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; these are meant to be committed.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def read_json(path: Path, what: str, version: int) -> dict[str, Any]:
    """Read a versioned JSON object.

    Args:
        path: the file.
        what: what the file should be, for messages, e.g. ``"a regression"``.
        version: the ``format_version`` that this release reads.

    Raises:
        UsageProblem: the file is missing, unreadable, not JSON, cut off, or of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageProblem(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{path}: cannot be read: {error}") from None
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageProblem(f"{path}: not JSON, or cut off: {error}") from None
    if not isinstance(data, dict) or "format_version" not in data:
        raise UsageProblem(f"{path}: not {what}: expected an object with 'format_version'")
    if data["format_version"] != version:
        raise UsageProblem(
            f"{path}: format_version {data['format_version']!r} is unknown to this release of "
            f"ropefuzz, which reads {version}"
        )
    return data


def _pretty(data: dict[str, Any]) -> str:
    # One line a field: short, sorted, readable in a diff.
    lines = [
        f"  {json.dumps(key)}: {json.dumps(data[key], sort_keys=True, ensure_ascii=False)}"
        for key in sorted(data)
    ]
    return "{\n" + ",\n".join(lines) + "\n}"
