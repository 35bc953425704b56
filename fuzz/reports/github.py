"""What GitHub Actions shows of a run: annotations, and the summary of the job."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fuzz.events import Found
from fuzz.report import headline
from strategies.words import describe

SUMMARY: Final = "GITHUB_STEP_SUMMARY"


def is_there(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether this runs in a job of GitHub Actions."""
    return environ.get("GITHUB_ACTIONS") == "true"


def annotation(found: Found) -> str:
    """Return the workflow command that shows a finding beside the code of a pull request.

    Source: GitHub's documentation, "Workflow commands for GitHub Actions".
    """
    finding = found.finding
    flaky = finding.status == "flaky"
    title = f"ropefuzz: {finding.signature.property}{' (flaky)' if flaky else ''}"
    said = (
        f"{headline(finding.signature, finding.message)}\nsmallest case: {describe(finding.case)}"
    )
    fields = {"title": title, **({"file": str(found.path)} if found.path else {})}
    shown = ",".join(f"{k}={_field(v)}" for k, v in fields.items())
    return f"::{'warning' if flaky else 'error'} {shown}::{_text(said)}"


def add_to_summary(text: str, environ: Mapping[str, str] = os.environ) -> None:
    """Add Markdown to the summary of the job, if there is one.

    Raises:
        OSError: it cannot be written.
    """
    if path := environ.get(SUMMARY, ""):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def _text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _field(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")
