"""pip, run as a program, and its failures as one line each."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packaging.version import Version

from fuzz.environments.requirement import PACKAGE
from fuzz.errors import CannotJudge, UsageProblem

_COMMON: Final = ("--disable-pip-version-check", "--no-input", "--retries", "1")

_UNREACHABLE: Final = re.compile(
    r"connection broken by|Could not fetch URL|Max retries exceeded|Temporary failure in name "
    r"resolution|Read timed out|ConnectionError|ProxyError|Network is unreachable"
)


def releases(folder: Path) -> tuple[str, ...]:
    """Return the final releases of transformers that the index has for this Python, ascending.

    Args:
        folder: where pip is run.

    Raises:
        CannotJudge: the index cannot be reached.
    """
    what = "the releases of transformers"
    said, warned = run(["index", "versions", PACKAGE], folder, what)
    if _UNREACHABLE.search(warned):
        # Another index has answered, so pip is content; but the newest may be missing.
        raise CannotJudge(f"{what}: a package index cannot be reached: {_why(warned)}")
    found = re.search(r"^Available versions: (.+)$", said, re.MULTILINE)
    if found is None:
        raise CannotJudge("pip names no release of transformers: is there an index?")
    return tuple(sorted((v.strip() for v in found[1].split(",")), key=Version))


def run(arguments: Sequence[str], folder: Path, what: str) -> tuple[str, str]:
    """Run pip and return what it printed, on standard output and on standard error.

    Args:
        arguments: its command and what belongs to it.
        folder: the working folder, so that nothing of the user's own is imported by it.
        what: what it is to get, for messages.

    Raises:
        UsageProblem: what is asked for does not exist, or not for this Python.
        CannotJudge: the index cannot be reached, the disk is full, or pip fails otherwise.
    """
    command = [sys.executable, "-m", "pip", *arguments, *_COMMON]
    try:
        # A group of its own, so that Ctrl-C is ours to handle, and takes its children along.
        process = subprocess.Popen(  # noqa: S603 - a fixed program, no shell
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise CannotJudge(f"cannot start {sys.executable}: {error}") from None
    try:
        out, err = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        raise _problem(what, out + err)
    return out, err


def _problem(what: str, said: str) -> UsageProblem | CannotJudge:
    if "No module named pip" in said:
        return CannotJudge(
            f"{what}: this Python has no pip; install it with: {sys.executable} -m ensurepip"
        )
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return CannotJudge(f"{what}: the disk is full")
    if _UNREACHABLE.search(said):
        return CannotJudge(f"{what}: the package index cannot be reached: {_why(said)}")
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if re.search(r"requires a different Python|not a supported wheel on this platform", said):
        return UsageProblem(f"{what} does not install on Python {python}: {_last_error(said)}")
    missing = re.search(r"No matching distribution found for (\S+)", said)
    ignored = re.search(r"require a different python version: (.+)", said)
    if missing and ignored and re.search(rf"\b{re.escape(_version(missing[1]))}\b", ignored[1]):
        return UsageProblem(f"{what} does not install on Python {python}: it needs another one")
    if missing and "(from versions: none)" in said and missing[1].startswith(PACKAGE):
        return CannotJudge(f"{what}: the package index has no transformers, or cannot be reached")
    if missing and missing[1].startswith(PACKAGE):
        return UsageProblem(f"{what}: there is no such release")
    if missing:
        return UsageProblem(
            f"{what} does not install on Python {python}: there is no {missing[1]} for it"
        )
    return CannotJudge(f"{what}: pip failed: {_last_error(said)}")


def _version(pinned: str) -> str:
    return pinned.partition("==")[2] or "nothing"


def _why(said: str) -> str:
    for pattern in (r"\[Errno -?\d+\] [^'\")]+", r"Read timed out", r"[A-Za-z]+Error"):
        if found := re.search(pattern, said):
            return found[0]
    return "no connection"


def _last_error(said: str) -> str:
    errors = [line.strip() for line in said.splitlines() if line.strip().startswith("ERROR:")]
    lines = errors or [line.strip() for line in said.splitlines() if line.strip()] or ["no word"]
    return lines[-1].removeprefix("ERROR:").strip()[:300]
