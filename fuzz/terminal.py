"""The terminal reporter: progress while a run lasts, findings as they come."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from fuzz.events import (
    Event,
    Found,
    KnownSeen,
    NotApplicable,
    Notice,
    Progress,
    PropertyDone,
    RunStarted,
    Shrinking,
)
from fuzz.report import (
    counted,
    finding_lines,
    not_applicable_line,
    tally_line,
    target_in_words,
    versions_in_words,
)
from strategies.words import describe

HEARTBEAT: Final = 20.0


class _Console(Console):
    """rich's, but a reader that has gone is an error like any other and not the end."""

    def on_broken_pipe(self) -> None:
        """Let whoever prints know."""
        raise BrokenPipeError


@dataclass(slots=True)
class Terminal:
    """Prints events: a live status line on a terminal, a line every so often elsewhere.

    Attributes:
        console: where to.
        live: the status line while there is one.
        findings: findings so far.
        started: when the current property started, ``time.monotonic()``.
        property: the current property.
        beat: when something was last printed.
    """

    console: Console = field(default_factory=lambda: _Console(highlight=False, soft_wrap=True))
    live: Live | None = None
    findings: int = 0
    started: float = 0.0
    property: str = ""
    beat: float = 0.0

    def open(self) -> None:
        """Start the status line, on a terminal only."""
        if self.console.is_terminal:
            self.live = Live(console=self.console, transient=True, refresh_per_second=8)
            self.live.start()
        self.status("starting: importing torch and transformers once")

    def close(self) -> None:
        """Take the status line away."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def __call__(self, event: Event) -> None:
        """Print an event."""
        if isinstance(event, RunStarted):
            versions = versions_in_words(event.versions)
            self.line(f"{target_in_words(event.target)} on {versions}")
            self.line(f"seed {event.seed}, ready in {event.seconds:.1f} s")
        elif isinstance(event, Progress):
            self._progress(event)
        elif isinstance(event, Shrinking):
            self.status(
                f"{event.property}: shrinking {event.signature.verdict} "
                f"{event.signature.what}, {counted(event.attempts, 'attempt')}: "
                f"{describe(event.case)}"
            )
        elif isinstance(event, Found):
            self.findings += 1
            for line in finding_lines(event.finding, event.path, event.note):
                self.line(line)
        elif isinstance(event, KnownSeen):
            where = f" ({event.entry.url})" if event.entry.url else ""
            self.line(f"known {event.entry.id}: {event.entry.reason}{where}")
        elif isinstance(event, PropertyDone):
            self.line(tally_line(event))
        elif isinstance(event, NotApplicable):
            self.line(not_applicable_line(event))
        elif isinstance(event, Notice):
            self.line(event.text)

    def line(self, text: str) -> None:
        """Print a line that stays."""
        self.beat = time.monotonic()
        self.console.print(Text(text))

    def status(self, text: str) -> None:
        """Show what is going on now."""
        if self.live is not None:
            self.live.update(Text(text, no_wrap=True, overflow="ellipsis"))
        elif time.monotonic() - self.beat > HEARTBEAT:
            self.line(f"... {text}")

    def _progress(self, event: Progress) -> None:
        now = time.monotonic()
        if event.property != self.property:
            self.property, self.started = event.property, now
        elapsed = max(now - self.started, 1e-3)
        of = f"/{event.planned}" if event.planned else ""
        self.status(
            f"{event.property}: {event.done}{of} cases, {event.done / elapsed:.0f} cases/s, "
            f"{self.findings} findings"
        )
