"""How much memory processes hold."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of one process.

    Attributes:
        rss_mib: resident, shared pages counted in full.
        pss_mib: resident, each shared page divided among those who share it.
    """

    rss_mib: float
    pss_mib: float


def resident(pid: int) -> int:
    """Return a process's resident bytes, 0 when it is gone; a few microseconds."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def measure(pid: int) -> Memory | None:
    """Return a process's memory, None when it is gone; may take milliseconds."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
    if "Rss" not in kib:
        return None
    return Memory(kib["Rss"] * 1024 / _MIB, kib.get("Pss", 0) * 1024 / _MIB)
