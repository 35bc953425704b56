"""Supervisors of the fake worker, and a look at which processes there are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fuzz.isolation.deadline import Deadline
from fuzz.isolation.supervisor import Supervisor
from fuzz.isolation.tests.ctrl_c import hear_ctrl_c
from fuzz.target import Target

FAKE = "fuzz.isolation.tests.fake_worker"
Make = Callable[..., Supervisor]

hear_ctrl_c()


@pytest.fixture
def make() -> Iterator[Make]:
    """A maker of supervisors, not started, that are closed at the end."""
    made: list[Supervisor] = []

    def supervisor(family: str = "ok", **options: Any) -> Supervisor:
        # Far more than a working case needs: only a case that hangs takes this long.
        options.setdefault("deadline", Deadline(floor=20, ceiling=20))
        made.append(Supervisor(Target(family=family), worker_module=FAKE, **options))
        return made[-1]

    yield supervisor
    for one in made:
        one.close()


@pytest.fixture
def supervisor(make: Make) -> Supervisor:
    """A started supervisor."""
    one = make()
    one.start()
    return one


@pytest.fixture
def impatient(make: Make) -> Supervisor:
    """A started supervisor whose deadline is short."""
    one = make(deadline=Deadline(floor=0.3, ceiling=0.3))
    one.start()
    return one


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that is dead but not waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def in_session(leader: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and alive(int(folder.name)):
            try:
                if os.getsid(int(folder.name)) == leader:
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait for a condition; tell whether it came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
