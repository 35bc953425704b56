"""The environment of the preloaded process, complete before torch can be imported in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

FIXED: Final[Mapping[str, str]] = {
    # A parent that ran one parallel operation with two threads hangs every forked child.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Else asking whether CUDA is there initializes the driver, and every fork is poisoned.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    # What was printed before a death would otherwise die in Python's own buffer.
    "PYTHONUNBUFFERED": "1",
}

WRAPPED: Final[Mapping[str, str]] = {
    # A tool that watches memory sees only what is asked of the device, not of torch's reserve.
    "PYTORCH_NO_CUDA_MEMORY_CACHING": "1",
}
"""Set as well where workers run under a command of the user's."""

_REMOVED: Final = ("PYTHONFAULTHANDLER",)

# The current folder must not decide what is imported, and the folder that holds this package
# comes last: a site-packages folder of the driver must not hide the other interpreter's own.
_START: Final = (
    "import sys; sys.path[:] = [p for p in sys.path if p]; sys.path.append(sys.argv.pop(1)); "
    "from importlib import import_module; "
    "import_module('fuzz.isolation.' + sys.argv.pop(1)).main(sys.argv[1:])"
)


def environment(
    pythonpath: Sequence[str], inherited: Mapping[str, str], wrapped: bool = False
) -> dict[str, str]:
    """Return the environment variables of the preloaded process.

    Args:
        pythonpath: folders that come first on its import path.
        inherited: the driver's own variables.
        wrapped: whether workers run under a command of the user's.
    """
    result = {name: value for name, value in inherited.items() if name not in _REMOVED}
    result.update(FIXED)
    if wrapped:
        result.update(WRAPPED)
    parts = [*pythonpath, *filter(None, inherited.get("PYTHONPATH", "").split(os.pathsep))]
    result.pop("PYTHONPATH", None)
    if parts:
        result["PYTHONPATH"] = os.pathsep.join(parts)
    return result


def command(program: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """Return the command line that starts a module of this package.

    Args:
        program: ``"preload"``, or ``"fresh"`` for a worker of its own interpreter.
        arguments: what its ``main`` takes.
        python: the interpreter.
    """
    home = str(Path(__file__).resolve().parents[2])
    return [python, "-c", _START, home, program, *arguments]
