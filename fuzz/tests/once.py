"""What several tests need, made by one of the processes that share a run of pytest."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from typing import TypeVar

import pytest

Made = TypeVar("Made")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[], Made]) -> Made:
    """Return what ``make`` gives, as JSON keeps it; another process of the run waits for the first.

    Args:
        factory: pytest's; its folder is in one that the run's processes share.
        name: of what is made.
        make: makes it.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make()
    with (factory.getbasetemp().parent / f"{name}.json").open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if not file.read(1):
            file.write(json.dumps(make()))
            file.flush()
        file.seek(0)
        made: Made = json.load(file)
        return made
