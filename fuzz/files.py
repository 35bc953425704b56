"""Reading and writing the files that ropefuzz keeps."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from fuzz.errors import UsageProblem

PATIENCE: Final = 10.0
"""Seconds to wait for somebody who is saving at the same moment."""


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write sorted, indented JSON, all of it or nothing.

    Raises:
        OSError: the folder cannot be made or written; no half-written file is left.
    """
    write_text(path, _pretty(data) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, all of it or nothing.

    Raises:
        OSError: the folder cannot be made or written; no half-written file is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".{path.name}.{os.getpid()}")
    whole.unlink(missing_ok=True)  # of a dead process with the same number
    try:
        _write_whole(whole, text.encode())
        whole.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            whole.unlink()
        raise


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file that has its name only once it is whole, where the file system can do that."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            handle = os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o644, dir_fd=folder)
            named = False
        except OSError:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            named = True
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if not named:
                # Given a folder, it follows the link in /proc to the file itself.
                os.link(f"/proc/self/fd/{file.fileno()}", path.name, dst_dir_fd=folder)
    finally:
        os.close(folder)


def check_place(path: Path, suffixes: Sequence[str] = ()) -> None:
    """Check that a file that the user named can be written there, without writing it.

    Its folder is not made: a name that was mistyped would make one.

    Args:
        path: the file.
        suffixes: what its name may end in, () for anything.

    Raises:
        UsageProblem: its suffix is none of these, or it cannot be written there.
    """
    if suffixes and path.suffix not in suffixes:
        raise UsageProblem(f"{path}: expected a report's name to end in {', '.join(suffixes)}")
    try:
        if path.is_dir():
            raise UsageProblem(f"{path}: is a folder")
        if path.exists() and not path.is_file():
            raise UsageProblem(f"{path}: is no file")
        if not path.parent.is_dir():
            said = "is no folder" if path.parent.exists() else "does not exist"
            raise UsageProblem(f"{path}: folder {path.parent} {said}")
        if path.exists() and not os.access(path, os.W_OK):
            raise UsageProblem(f"{path}: cannot be written: {os.strerror(errno.EACCES)}")
        # Only trying tells: what a mount or the kernel forbids shows in no permission.
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageProblem(f"{path}: cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others who ask for the same folder out while the block runs.

    The lock is on the folder itself and ends with the process that holds it, so it cannot be
    left behind. Where a file system knows no locks the block runs without one, and so it does
    after a while when the one who holds it was stopped.

    Raises:
        OSError: the folder cannot be made or opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + PATIENCE
        while not _lock(handle) and time.monotonic() < end:
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Try to lock; False while somebody else holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # there are no locks here to wait for
    return True


def read_json(path: Path, what: str, version: int) -> dict[str, Any]:
    """Read a versioned JSON object.

    Args:
        path: the file.
        what: what the file should be, for messages, e.g. ``"a regression"``.
        version: the ``format_version`` that this release reads.

    Raises:
        UsageProblem: the file is missing, unreadable, not JSON, cut off, or of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageProblem(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{path}: cannot be read: {error}") from None
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageProblem(f"{path}: not JSON, or cut off: {error}") from None
    if not isinstance(data, dict) or "format_version" not in data:
        raise UsageProblem(f"{path}: not {what}: expected an object with 'format_version'")
    if data["format_version"] != version:
        raise UsageProblem(
            f"{path}: format_version {data['format_version']!r} is unknown to this release of "
            f"ropefuzz, which reads {version}"
        )
    return data


def _pretty(data: dict[str, Any]) -> str:
    # One line a field: short, sorted, readable in a diff.
    lines = [
        f"  {json.dumps(key)}: {json.dumps(data[key], sort_keys=True, ensure_ascii=False)}"
        for key in sorted(data)
    ]
    return "{\n" + ",\n".join(lines) + "\n}"
