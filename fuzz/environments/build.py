"""Building an environment: transformers itself, and what it needs otherwise than it is there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from packaging.utils import canonicalize_name

from fuzz.environments import manifest, pip
from fuzz.environments.manifest import Manifest
from fuzz.environments.requirement import PACKAGE, Requirement

REPORT = ".pip-report.json"


def build(requirement: Requirement, folder: Path) -> Manifest:
    """Fill an empty folder and write its manifest.

    What the running environment has in a version that the release accepts is shared with it, torch
    above all: so two environments differ in nothing but what their releases ask for.

    Raises:
        UsageProblem: there is no such release, or it does not install on this Python.
        CannotJudge: the index cannot be reached, or pip fails otherwise.
        OSError: the disk is full.
    """
    began = time.monotonic()
    what = f"transformers {requirement.version or requirement.pip}"
    install = ["install", "--no-deps", "--no-compile", "--target", str(folder)]
    stamp = requirement.stamp()
    pip.run([*install, requirement.pip], folder, what)
    needed = manifest.requirements_of(folder, PACKAGE)
    unmet = [
        r
        for r in needed
        if not r.specifier.contains(manifest.installed_version(r.name) or "0", prereleases=True)
        or not manifest.installed_version(r.name)
    ]
    if unmet:
        pinned = _resolved([str(r) for r in needed], folder, what)
        if pinned:
            pip.run([*install, "--only-binary", ":all:", *pinned], folder, what)
    done = Manifest(
        requirement=requirement.pip,
        stamp=stamp,
        packages=manifest.held_by(folder),
        shared=manifest.shared_by(folder),
        bytes=manifest.size_of(folder),
        seconds=round(time.monotonic() - began, 1),
    )
    manifest.write(folder, done)
    _to_disk(folder)
    return done


def _resolved(needed: list[str], folder: Path, what: str) -> list[str]:
    """Return what pip would install beside what is there, pinned."""
    report = folder / REPORT
    arguments = ["install", "--dry-run", "--quiet", "--only-binary", ":all:"]
    pip.run([*arguments, "--report", str(report), *needed], folder, what)
    try:
        chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
    finally:
        report.unlink(missing_ok=True)
    named = [(canonicalize_name(c["metadata"]["name"]), c["metadata"]["version"]) for c in chosen]
    return [f"{name}=={version}" for name, version in named if name != "torch"]


def _to_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
