"""Ctrl-C for tests that are about it, wherever they are started."""

from __future__ import annotations

import signal


def hear_ctrl_c() -> None:
    """Undo what a shell does to whatever it starts in the background: Ctrl-C is ignored there."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
