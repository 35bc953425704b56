"""``python -m fuzz.tests.torchless run ...``: the command line on the fake target."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from fuzz import commands
from fuzz.cli import main
from fuzz.isolation.supervisor import Supervisor
from fuzz.tests.test_cli import ROOT


def start(folder: Path, *arguments: str, first: str = "", **environment: str) -> Any:
    """Start the command line in a folder.

    Args:
        folder: where.
        arguments: its arguments.
        first: Python to run before it.
        environment: more environment variables.
    """
    # Whoever runs the tests may have this process ignore it.
    heard = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    program = f"{heard}\n{first}\nimport sys\nfrom fuzz.tests.torchless import run\nsys.exit(run())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: Any) -> tuple[int, str, str]:
    """Wait for a command line; return its exit code and what it printed on both outputs."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def run() -> int:
    """Run the command line of this process."""
    fake = functools.partial(Supervisor, worker_module="fuzz.tests.fake_target")
    with mock.patch.object(commands, "Supervisor", fake):
        return main()
