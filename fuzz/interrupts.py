"""Ctrl-C: once to stop and keep what was found, twice to stop now."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final, NoReturn

NUMBERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A runner that gives up sends SIGTERM, a terminal that closes SIGHUP: as after Ctrl-C, what was
found is kept."""

SHOW_CURSOR: Final = "\x1b[?25h"


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Have a first Ctrl-C or SIGTERM raise KeyboardInterrupt, and a second end the process.

    Whatever was started ends with it: workers die with their driver.
    """
    before = _listened_to()
    for number in before:
        signal.signal(number, _first)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Put off a first Ctrl-C until the block is done: a finding is saved whole, and told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = _listened_to()

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            _pass_on(before[signal.Signals(number)], number, frame)

    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            _pass_on(before[signal.Signals(came[0])], came[0], None)


def _listened_to() -> dict[signal.Signals, Any]:
    """Return the present handlers; a SIGHUP that ``nohup`` had ignored is left alone."""
    handlers = {number: signal.getsignal(number) for number in NUMBERS}
    if handlers[signal.SIGHUP] == signal.SIG_IGN:
        del handlers[signal.SIGHUP]
    return handlers


def _pass_on(handler: object, number: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
    elif handler == signal.SIG_DFL:
        raise KeyboardInterrupt


def _first(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _listened_to():
        signal.signal(number, _second)
    raise KeyboardInterrupt


def _second(number: int, _frame: FrameType | None) -> NoReturn:
    if sys.stdout.isatty():
        os.write(1, SHOW_CURSOR.encode())
    os.write(2, b"ropefuzz: stopped at once; what was saved before is kept\n")
    os._exit(128 + number)
