"""What an envelope checks: uses of a model, each as cases of the properties that can judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from fuzz.verdict import REFUSED, Outcome
from strategies.case import CacheKind, Case, Entry, Image, Row, Text
from strategies.geometry import Geometry
from strategies.validity import problems, refusals


@dataclass(frozen=True, slots=True)
class Plane:
    """Two numbers of a case, and what is checked at each pair of them.

    Attributes:
        name: in the envelope.
        over: names of the two axes.
        checks: (property, case), in which the axes are set.
    """

    name: str
    over: tuple[str, str]
    checks: tuple[tuple[str, Case], ...]


@dataclass(frozen=True, slots=True)
class Use:
    """One way of using a cache.

    Attributes:
        entry: how the model is called.
        cache: the kind of cache.
        fed: how the prompt goes into it.
        case: that, with a prompt.
    """

    entry: Entry
    cache: CacheKind
    fed: str
    case: Case


IMAGES: Final = Plane(
    "images",
    ("width", "height"),
    (
        ("no_crash", Case(rows=((Image(1, 1), Text(2)),))),
        ("rotary_reference", Case(rows=((Image(1, 1), Text(2)),))),
        ("cache_agreement", Case(rows=((Image(1, 1), Text(2)),), decode=1)),
        ("no_crash", Case(rows=((Image(1, 1), Text(2)),), entry="generate", decode=1)),
    ),
)
PROMPTS: Final = Plane(
    "prompts",
    ("text", "padding"),
    (
        ("no_crash", Case()),
        ("rotary_reference", Case()),
        ("cache_agreement", Case(decode=1)),
        ("padding_invariance", Case(rows=((Text(1),),))),
        ("no_crash", Case(entry="generate", decode=1)),
    ),
)

_CACHES: Final[tuple[CacheKind, ...]] = ("dynamic", "static")
_ENTRIES: Final[tuple[Entry, ...]] = ("forward", "forward-implicit", "generate")


def was_refused(outcome: Outcome, case: Case, geometry: Geometry) -> bool:
    """Tell whether a case was refused in words: always in order, or where it has to be.

    ``no_crash`` alone takes any refusal for an error, since it is meant for valid cases.
    """
    if outcome.verdict == "reject":
        return True
    return outcome.message.startswith(REFUSED) and bool(refusals(case, geometry))


def planes(images: bool) -> tuple[Plane, ...]:
    """Return the planes of a target that takes images, or takes none."""
    return (IMAGES, PROMPTS) if images else (PROMPTS,)


def uses(images: bool) -> Sequence[Use]:
    """Return the uses of caches that are well-formed."""
    row: Row = (Image(60, 60), Text(6)) if images else (Text(8),)
    whole = ("whole, then a token at a time", Case(rows=(row,), decode=3))
    pieces = (
        ("in two chunks", Case(rows=(row,), chunks=(4,))),
        ("left-padded, in two chunks", Case(rows=(row, (Text(2),)), chunks=(4,))),
    )
    found = []
    for entry in _ENTRIES:
        # generate goes about its prefill by itself.
        feedings = (whole,) if entry == "generate" else (whole, *pieces)
        for cache in _CACHES:
            for fed, base in feedings:
                case = replace(base, entry=entry, cache=cache)
                if not problems(case):
                    found.append(Use(entry, cache, fed, case))
    return found
