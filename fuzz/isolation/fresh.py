"""A worker in an interpreter of its own: slow to start, and free of whatever a fork inherits.

``python -m fuzz.isolation.fresh CONNECTION OUTPUT MODULE SETUP PARENT``, with two descriptors, the
module that answers, its setup as JSON and the process it dies with, 0 for whichever started it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from fuzz.isolation import serve_requests


def main(arguments: Sequence[str]) -> NoReturn:
    """Be a worker; never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=int(arguments[0]))
    connection.set_inheritable(False)
    setup = json.loads(arguments[3])

    def load() -> ModuleType:
        module = importlib.import_module(arguments[2])
        module.load(setup["target"])
        return module

    serve_requests.serve(
        connection, int(arguments[1]), load, setup, int(arguments[4]) or os.getppid()
    )


if __name__ == "__main__":
    main(sys.argv[1:])
