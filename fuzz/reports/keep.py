"""Reports that were asked for: promised before a run, written while it lasts and at its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TextIO, TypeAlias

from fuzz.errors import UsageProblem, print_error
from fuzz.events import Event, Found, Gated, Progress, Shrinking
from fuzz.files import check_place, write_text
from fuzz.reports import github, lines
from fuzz.reports.html import page
from fuzz.reports.markdown import markdown
from fuzz.reports.runs import Run, gates_in, gather

Maker: TypeAlias = Callable[[Sequence[Run], Sequence[Gated]], str]
PAGE: Final = ".html"
MAKERS: Final[dict[str, Maker]] = {PAGE: page, ".md": markdown}
"""What is written at the end, by the file's suffix."""

SUFFIXES: Final = (".jsonl", *MAKERS)

_FLEETING: Final = (Progress, Shrinking)
"""What a person watches while it goes on; how many cases there were, PropertyDone says."""


@dataclass(slots=True)
class Reports:
    """The reports on one run.

    Attributes:
        paths: the files that are written at the end.
        streams: the files that get each event at once.
        events: what was heard so far.
        show: prints a line where a person, or GitHub, reads it.
        failed: whether a report could not be written.
    """

    paths: Sequence[Path]
    streams: Sequence[tuple[Path, TextIO]]
    show: Callable[[str], None]
    events: list[Event] = field(default_factory=list)
    failed: bool = False

    @property
    def paged(self) -> bool:
        """Whether a page is wanted, which shows maps."""
        return any(path.suffix == PAGE for path in self.paths)

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        if isinstance(event, _FLEETING):
            return
        self.events.append(event)
        for path, stream in self.streams:
            self._try(path, partial(_write, stream, lines.written(event)))
        if isinstance(event, Found) and github.is_there():
            self.show(github.annotation(event))

    def close(self) -> None:
        """Write what is written at the end. What cannot be is told in a line each."""
        for path, stream in self.streams:
            self._try(path, stream.close)
        runs, gates = gather(self.events), gates_in(self.events)
        for path in self.paths:
            self._try(path, partial(write_text, path, MAKERS[path.suffix](runs, gates)))
        if github.is_there() and (runs or gates):
            name = Path(os.environ.get(github.SUMMARY, ""))
            self._try(name, partial(github.add_to_summary, markdown(runs, gates)))

    def _try(self, path: Path, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            if not self.failed:
                print_error(f"{path}: the report cannot be written: {error.strerror}")
            self.failed = True


def open_reports(paths: Sequence[Path], show: Callable[[str], None]) -> Reports:
    """Open the reports that were asked for.

    Raises:
        UsageProblem: one of them has a suffix that stands for nothing, or cannot be written.
    """
    for path in paths:
        check_place(path, SUFFIXES)
    streams: list[tuple[Path, TextIO]] = []
    for path in dict.fromkeys(paths):
        if path.suffix in MAKERS:
            continue
        try:
            stream = path.open("w", encoding="utf-8")
            streams.append((path, stream))
            _write(stream, lines.line_of(lines.HEAD))
        except OSError as error:
            raise UsageProblem(f"{path}: cannot be written: {error.strerror}") from None
    later = [p for p in dict.fromkeys(paths) if p.suffix in MAKERS]
    return Reports(later, streams, show)


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
