"""Maps of what a gate found, for its page."""

from __future__ import annotations

from dataclasses import replace

from fuzz.events import Event, Mapped
from fuzz.gate.result import Result
from fuzz.isolation.supervisor import Supervisor
from fuzz.map.around import maps_of
from fuzz.target import Target
from fuzz.verdict import Signature


def draw(result: Result, target: Target, candidate: Supervisor) -> None:
    """Look which cases around each difference of a target fail in the candidate.

    Args:
        result: whose differences get their maps.
        target: the target.
        candidate: started with it.

    Raises:
        KeyboardInterrupt: Ctrl-C came; the maps until then are there.
    """
    maps: dict[Signature, Mapped] = {}

    def take(event: Event) -> None:
        if isinstance(event, Mapped):
            maps[event.signature] = event

    # Points of a map are none of the cases that say how much of what changed has run.
    candidate.watch = None
    mine = [d.finding for d in result.differences if d.finding.target == target]
    complete = maps_of(candidate, mine, take)
    result.differences[:] = [
        replace(d, drawn=maps.get(d.finding.signature)) if d.finding.target == target else d
        for d in result.differences
    ]
    if not complete:
        raise KeyboardInterrupt
