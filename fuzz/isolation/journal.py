"""The case is on disk before it runs, for the deaths that take the driver along."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

FORMAT_VERSION: Final = 1
_PREFIX: Final = "running-"


class JournalError(Exception):
    """A journal cannot be written or read; the message names the file."""


@dataclass(frozen=True, slots=True)
class Record:
    """The case that a driver was last running.

    Attributes:
        path: the journal it was read from; delete it once dealt with.
        pid: the driver's process id.
        property: the property that was checked.
        case: the case, as plain data.
        target: the target, as plain data.
    """

    path: Path
    pid: int
    property: str
    case: dict[str, Any]
    target: dict[str, Any]


class Journal:
    """One file that always holds the case being run; removed when closed.

    Writing costs about a microsecond: one ``pwrite`` into the page cache, which survives the
    death of any process. ``sync`` is for machines that reset, at about 160 us a case.
    """

    __slots__ = ("_descriptor", "_length", "_started", "_sync", "path")

    def __init__(self, folder: Path, sync: bool = False) -> None:
        """Open the journal of this process.

        Args:
            folder: where journals are kept; made if missing.
            sync: wait until the record is on the disk itself.

        Raises:
            OSError: the folder or the file cannot be made.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{_PREFIX}{os.getpid()}.json"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o644)
        self._length = 0
        self._started = _started(os.getpid())
        self._sync = sync

    def __enter__(self) -> Journal:
        """Return the journal itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the file."""
        self.close()

    def record(self, property_id: str, case: Mapping[str, Any], target: Mapping[str, Any]) -> None:
        """Write down what runs next, over what was there.

        Raises:
            JournalError: the disk took only a part of it.
            OSError: the disk took nothing of it.
        """
        text = json.dumps(
            {
                "format_version": FORMAT_VERSION,
                "pid": os.getpid(),
                "started": self._started,
                "property": property_id,
                "case": case,
                "target": target,
            },
            separators=(",", ":"),
        )
        # Spaces cover the rest of a longer record: one write, and the file is JSON after it.
        body = text.encode().ljust(self._length - 1) + b"\n"
        if os.pwrite(self._descriptor, body, 0) != len(body):
            raise JournalError(f"{self.path}: the disk took only a part of the record")
        self._length = len(body)
        if self._sync:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Remove the file; doing so twice is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self.path.unlink(missing_ok=True)


def left_behind(folder: Path) -> list[Record]:
    """Return the records of drivers that are no longer alive.

    A journal without a record (its driver died before the first case) is left out.

    Raises:
        JournalError: a journal has an unknown version, or is not a journal.
    """
    records = []
    for path in sorted(folder.glob(f"{_PREFIX}*.json")):
        text = path.read_text(encoding="utf-8", errors="replace").strip(" \n\0")
        if not text:
            continue
        data = _parsed(path, text)
        started = _started(data["pid"])
        # A number can be in use again by another process; its start time tells them apart.
        if started and started == data["started"]:
            continue
        records.append(Record(path, data["pid"], data["property"], data["case"], data["target"]))
    return records


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise JournalError(f"{path}: not JSON: {error}") from None
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise JournalError(
            f"{path}: format_version {version!r} is unknown, this release reads {FORMAT_VERSION}"
        )
    fields = {"pid": int, "started": str, "property": str, "case": dict, "target": dict}
    for name, kind in fields.items():
        if not isinstance(data.get(name), kind):
            raise JournalError(f"{path}: the field {name!r} is missing or not {kind.__name__}")
    return dict(data)


def _started(pid: int) -> str:
    """Return when a process started, in ticks since boot; "" when there is none."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name, in parentheses, may hold spaces and parentheses; field 22 is the 20th after it.
    return status.rpartition(")")[2].split()[19]
