"""What the processes of one pytest run share: who reports a failure, and what is said at the end.

With pytest-xdist several processes check the properties of one run. An exception, a dead process
or a hang counts against ``no_crash`` whichever property's cases met it, so that two of them can
meet the same failure at the same moment. Without it there is one process, and all of this still
holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fuzz.verdict import Signature

_TOLD: Final = "\n"


@dataclass(slots=True)
class Claims:
    """Gives each failure to the process that asks for it first.

    What a process was given stays its own once it has told a person of it. Until then it goes
    back when that process ends: the file is locked, and a lock ends with its process.

    Attributes:
        folder: is there, and is the same for all processes of one run and for no others.
        holder: who is asking, in words.
        mine: what this process was given, by fingerprint; -1 where that is written nowhere.
    """

    folder: Path
    holder: str = ""
    mine: dict[str, int] = field(default_factory=dict)

    def __call__(self, signature: Signature) -> bool:
        """Tell whether a failure is this process's to report."""
        name = signature.fingerprint
        if name not in self.mine:
            try:
                handle = self._taken(self._path(signature))
            except OSError:
                # Whoever else may have it: told twice is better than not at all.
                handle = -1
            if handle is None:
                return False
            self.mine[name] = handle
        return True

    def told(self, signature: Signature) -> None:
        """Keep a failure for good: a person was told of it."""
        with contextlib.suppress(OSError):
            os.write(self.mine.get(signature.fingerprint, -1), _TOLD.encode())

    def holder_of(self, signature: Signature) -> str:
        """Return who was given a failure, in words."""
        try:
            text = self._path(signature).read_text(encoding="utf-8")
        except OSError:
            text = ""
        return text.rstrip(_TOLD) or "another test"

    def close(self) -> None:
        """Give back what nobody was told of."""
        for handle in self.mine.values():
            if handle >= 0:
                os.close(handle)
        self.mine.clear()

    def _path(self, signature: Signature) -> Path:
        return self.folder / f"claim-{signature.fingerprint}"

    def _taken(self, path: Path) -> int | None:
        """Return the open file if nobody else has it."""
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.read(handle, 1000).decode().endswith(_TOLD):
                os.truncate(handle, 0)
                os.pwrite(handle, self.holder.encode(), 0)
                os.lseek(handle, 0, os.SEEK_END)
                return handle
        except BlockingIOError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        return None


@dataclass(frozen=True, slots=True)
class Notes:
    """What a person should read at the end of a run; it outlives the process that wrote it.

    Attributes:
        folder: see :class:`Claims`.
    """

    folder: Path

    def add(self, text: str) -> None:
        """Write something down."""
        try:
            handle = os.open(
                self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            try:
                # In one piece: what several processes write does not mix.
                os.write(handle, (json.dumps(text) + "\n").encode())
            finally:
                os.close(handle)
        except OSError:
            print(f"ropefuzz: {text}", file=sys.stderr)

    def read(self) -> list[str]:
        """Return what was written, by whichever process, each text once."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except OSError:
            return []
        # A process that is killed while it writes leaves a last line without its end.
        whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return list(dict.fromkeys(json.loads(line) for line in whole))

    @property
    def _path(self) -> Path:
        return self.folder / "notes"
