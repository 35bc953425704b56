"""The environments of this interpreter: built once, kept in the cache, put in place whole."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz.environments import manifest, pip
from fuzz.environments.build import build
from fuzz.environments.manifest import Manifest, installed_version
from fuzz.environments.requirement import INSTALLED, PACKAGE, Requirement, parse
from fuzz.errors import CannotJudge, UsageProblem

VARIABLE: Final = "ROPEFUZZ_ENVIRONMENTS"
"""Names the folder of environments, where the user's cache is not the place for them."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_MOMENT: Final = 0.2


@dataclass(frozen=True, slots=True)
class Environment:
    """Where workers run.

    Attributes:
        name: of the release, or of the checkout or file.
        folder: comes first on a worker's import path; None for the running environment as it is.
        version: of transformers in it.
        again: names it on a command line, later too.
    """

    name: str
    folder: Path | None
    version: str
    again: str

    @property
    def pythonpath(self) -> tuple[str, ...]:
        """What to put before a worker's import path."""
        return () if self.folder is None else (str(self.folder),)


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of environments.

    Attributes:
        root: the folder.
        notify: told in one line what takes time.
    """

    root: Path
    notify: Callable[[str], None] = lambda _: None

    def releases(self) -> Sequence[str]:
        """Return the releases of the index, ascending; see :func:`pip.releases`."""
        self.root.mkdir(parents=True, exist_ok=True)
        return pip.releases(self.root)

    @contextlib.contextmanager
    def use(self, text: str) -> Iterator[Environment]:
        """Have an environment, built if need be, that nobody removes during the block.

        Args:
            text: ``installed``, or what :func:`~fuzz.environments.requirement.parse` takes.

        Raises:
            UsageProblem: there is no such release, or it does not install on this Python.
            CannotJudge: the index cannot be reached, the disk is full, or pip fails otherwise.
        """
        if text == INSTALLED:
            version = installed_version(PACKAGE)
            if not version:
                raise UsageProblem("no transformers is installed; name a release")
            yield Environment(INSTALLED, None, version, version)
            return
        requirement = parse(text, self.releases)
        self.add(requirement)
        with self._locked(requirement.name, shared=True):
            there = manifest.read(self.root / requirement.name)
            if there is None:
                raise CannotJudge(f"the environment {requirement.name} was just removed")
            folder = self.root / requirement.name
            again = requirement.version or requirement.pip
            yield Environment(requirement.name, folder, there.packages[PACKAGE], again)

    def add(self, requirement: Requirement) -> tuple[Manifest, bool]:
        """Build an environment, unless it is there and sound.

        Returns:
            What it holds, and whether it was built now.

        Raises:
            UsageProblem: see :meth:`use`.
            CannotJudge: see :meth:`use`.
        """
        folder = self.root / requirement.name
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # Most often it is there, and others may be using it.
            there = manifest.read(folder)
            if there is not None and not manifest.unsound(folder, there, requirement.stamp()):
                return there, False
            with self._locked(requirement.name):
                there = manifest.read(folder)
                why = manifest.unsound(folder, there, requirement.stamp())
                if there is not None and not why:
                    return there, False
                if folder.exists():
                    self.notify(f"environment {requirement.name}: {why}; building it again")
                return self._built(requirement, folder), True
        except OSError as error:
            if error.errno in _FULL:
                raise CannotJudge(f"environment {requirement.name}: the disk is full") from None
            where = error.filename or self.root
            raise CannotJudge(f"{where}: cannot be made or written: {error.strerror}") from None

    def remove(self, name: str) -> int:
        """Remove an environment; return how many bytes that freed.

        Raises:
            UsageProblem: there is none of that name, or a run is using it.
        """
        folder = self.root / name
        if name.startswith(".") or not folder.is_dir():
            known = ", ".join(self.names()) or "none"
            raise UsageProblem(f"no environment {name!r}; there are: {known}")
        with self._locked(name, wait=False):
            size = manifest.size_of(folder)
            self._discard(folder)
        return size

    def names(self) -> list[str]:
        """Return the environments there are, broken ones too, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and p.name[0] != ".")

    def _built(self, requirement: Requirement, folder: Path) -> Manifest:
        self.notify(f"environment {requirement.name}: building it")
        self._clear(f".building-{requirement.name}-")
        stage = self.root / f".building-{requirement.name}-{os.getpid()}"
        stage.mkdir()
        try:
            done = build(requirement, stage)
            if PACKAGE not in done.packages:
                raise UsageProblem(f"{requirement.pip}: that is not transformers")
            if folder.exists():
                self._discard(folder)
            stage.rename(folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        self.notify(f"environment {requirement.name}: {_said(done)}")
        return done

    def _discard(self, folder: Path) -> None:
        """Take a folder away at once, then delete it."""
        gone = self.root / f".gone-{folder.name}-{os.getpid()}"
        folder.rename(gone)
        self._clear(f".gone-{folder.name}-")

    def _clear(self, prefix: str) -> None:
        for left in self.root.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self, name: str, shared: bool = False, wait: bool = True) -> Iterator[None]:
        """Keep others off an environment; the lock ends with the process that holds it."""
        path = self.root / f".lock-{name}"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            said = False
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            while True:
                try:
                    fcntl.flock(handle, kind | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not wait:
                        raise UsageProblem(f"environment {name} is in use; try later") from None
                if not said:
                    said = True
                    self.notify(f"environment {name}: waiting for another process that has it")
                time.sleep(_MOMENT)
            yield
        finally:
            os.close(handle)


def default_root() -> Path:
    """Return the folder of environments of the running interpreter.

    Environments share torch and more with the interpreter that made them, so each has its own.
    """
    home = os.environ.get(VARIABLE, "")
    cache = os.environ.get("XDG_CACHE_HOME", "") or str(Path.home() / ".cache")
    root = Path(home) if home else Path(cache) / "ropefuzz" / "environments"
    digest = hashlib.sha256(sys.prefix.encode()).hexdigest()[:6]
    return root.resolve() / f"python{sys.version_info[0]}.{sys.version_info[1]}-{digest}"


def _said(done: Manifest) -> str:
    others = sorted(f"{n} {v}" for n, v in done.packages.items() if n != PACKAGE)
    beside = f" with {', '.join(others)}" if others else ""
    return (
        f"transformers {done.packages[PACKAGE]}{beside}; {done.bytes / 1e6:.0f} MB, "
        f"built in {done.seconds:.1f} s"
    )
