"""The case is on disk before it runs, for the deaths that take the driver along."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from fuzz.isolation.told import Ran
from strategies.case import to_plain

FORMAT_VERSION: Final = 2
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
        in_hand: property and case of a failure that was being made smaller, None if none was.
    """

    path: Path
    pid: int
    property: str
    case: dict[str, Any]
    target: dict[str, Any]
    in_hand: dict[str, Any] | None = None


class Journal:
    """One file that always holds the case being run; removed when closed.

    Writing costs about a microsecond: one ``pwrite`` into the page cache, which survives the
    death of any process. ``sync`` is for machines that reset, at about 160 us a case.
    """

    __slots__ = ("_descriptor", "_length", "_sync", "path")

    def __init__(self, folder: Path, sync: bool = False) -> None:
        """Open the journal of this process.

        Args:
            folder: where journals are kept; made if missing.
            sync: wait until the record is on the disk itself.

        Raises:
            OSError: the folder or the file cannot be made.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # A process id alone is given again, at once in containers.
        self.path = folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}.json"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o644)
        # Held for as long as this process lives, and seen from every container on the folder.
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._length = 0
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

    def record(
        self,
        property_id: str,
        case: Mapping[str, Any],
        target: Mapping[str, Any],
        in_hand: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down what runs next, over what was there.

        Args:
            property_id: the property that is checked.
            case: the case, as plain data.
            target: the target, as plain data.
            in_hand: ``property`` and ``case`` of a failure that is being made smaller.

        Raises:
            JournalError: the disk took only a part of it.
            OSError: the disk took nothing of it.
        """
        text = json.dumps(
            {
                "format_version": FORMAT_VERSION,
                "pid": os.getpid(),
                "property": property_id,
                "case": case,
                "target": target,
                "in_hand": in_hand,
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


@dataclass(slots=True)
class WritingDown:
    """Writes each case down before it runs, until that fails; without it a run goes on.

    Attributes:
        journal: where to, None for nowhere.
        target: what the cases run against, as plain data.
        notify: told in one line when it ends.
    """

    journal: Journal | None
    target: Mapping[str, Any]
    notify: Callable[[str], None]

    def __call__(self, property_id: str, case: Mapping[str, Any], in_hand: Ran | None) -> None:
        """Write down what runs next.

        Args:
            property_id: the property that is checked.
            case: the case, as plain data.
            in_hand: the smallest case of a failure that is being made smaller.
        """
        if self.journal is None:
            return
        held = None
        if in_hand is not None:
            held = {"property": in_hand.property, "case": to_plain(in_hand.case)}
        try:
            self.journal.record(property_id, case, self.target, held)
        except (OSError, JournalError) as error:
            self.journal = None
            self.notify(
                f"the case that is running can no longer be written down ({error}); if this run "
                "is killed, the next one cannot tell which case it was at"
            )


def left_behind(folder: Path) -> tuple[list[Record], list[str]]:
    """Return the records of drivers that are no longer alive, and what could not be read.

    A journal without a record (its driver died before the first case) is left out.

    Returns:
        The records, and a line for each file that is no journal, or of an unknown version; it
        is renamed, so that it is told once.
    """
    records, unreadable = [], []
    for path in sorted(folder.glob(f"{_PREFIX}*.json")):
        try:
            with path.open("rb") as file:
                if _is_held(file.fileno()):
                    continue
                text = file.read().decode(errors="replace").strip(" \n\0")
            if text:
                records.append(_parsed(path, text))
        except FileNotFoundError:
            continue  # another run has dealt with it, or its own has ended
        except (OSError, JournalError) as error:
            aside = path.with_suffix(".unreadable")
            with contextlib.suppress(OSError):
                path.rename(aside)
            unreadable.append(f"{error} (kept as {aside})")
    return records, unreadable


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    return False


def _parsed(path: Path, text: str) -> Record:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise JournalError(f"{path}: not JSON: {error}") from None
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise JournalError(
            f"{path}: format_version {version!r} is unknown, this release reads {FORMAT_VERSION}"
        )
    fields = {"pid": int, "property": str, "case": dict, "target": dict}
    for name, kind in fields.items():
        if not isinstance(data.get(name), kind):
            raise JournalError(f"{path}: the field {name!r} is missing or not {kind.__name__}")
    in_hand = data.get("in_hand")
    if in_hand is not None and not isinstance(in_hand, dict):
        raise JournalError(f"{path}: the field 'in_hand' is not dict")
    return Record(path, data["pid"], data["property"], data["case"], data["target"], in_hand)
