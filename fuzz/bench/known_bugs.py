"""The catalogue: bugs of released transformers, each with one that has it and one that has not.

Only the benchmark reads it; what is fuzzed, and how, never depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fuzz.claims import CLAIMS
from fuzz.errors import UsageProblem, choose
from fuzz.families import FAMILIES
from fuzz.files import read_json
from fuzz.target import ATTENTION, DTYPES, Target
from fuzz.verdict import Signature
from strategies.case import DEFAULT, Case, Image, Text, from_plain

FOLDER: Final = Path(__file__).parent / "catalogue"
FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug.

    Attributes:
        id: its name, and its file's.
        title: one sentence.
        links: upstream's reports and changes; none where it was found here.
        target: the family, the attention implementation and the dtype that it shows in.
        affected: a release that has it.
        silent: a release that has it not: one that mends it, or the one before it came.
        property: the property that should see it.
        verdict: what a check of that gives.
        what: how the signature's ``what`` begins.
        where: the function that its exception comes from; "" for any, and for wrong values.
        smallest: the smallest case that is known.
        apart_from: ids of ledger entries whose failures look alike but are other bugs.
    """

    id: str
    title: str
    links: tuple[str, ...]
    target: Target
    affected: str
    silent: str
    property: str
    verdict: str
    what: str
    where: str
    smallest: Case
    apart_from: tuple[str, ...] = ()

    def matches(self, signature: Signature) -> bool:
        """Tell whether a failure is this bug, and not just any."""
        return (
            signature.verdict == self.verdict
            and signature.what.startswith(self.what)
            and self.where in ("", signature.where)
        )


def load() -> tuple[Bug, ...]:
    """Read the catalogue, in the order of its ids.

    Raises:
        UsageProblem: an entry cannot be used.
    """
    return tuple(_bug(path) for path in sorted(FOLDER.glob("*.json")))


def _bug(path: Path) -> Bug:
    data = read_json(path, "a bug of the catalogue", FORMAT_VERSION)
    try:
        return _read(path, data)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageProblem(f"{path}: not a bug of the catalogue: {error!r}") from None


def _read(path: Path, data: dict[str, Any]) -> Bug:
    if data["id"] != path.stem:
        raise ValueError(f"its id is {data['id']!r}")
    choose("property", data["property"], CLAIMS)
    return Bug(
        id=data["id"],
        title=data["title"],
        links=tuple(data["links"]),
        target=Target(
            family=choose("family", data["family"], FAMILIES),
            attn=choose("attention", data["attn"], ATTENTION),
            dtype=choose("dtype", data["dtype"], DTYPES),
        ),
        affected=data["affected"],
        silent=data["silent"],
        property=data["property"],
        verdict=data["verdict"],
        what=data["what"],
        where=data.get("where", ""),
        smallest=from_plain(data["smallest"]),
        apart_from=tuple(data.get("apart_from", ())),
    )


def elements(case: Case) -> int:
    """Return of how many elements a case is made, to tell how much larger one is than another.

    Earlier calls, rows, images, text tokens, columns of padding, chunks, tokens that come alone,
    placeholders too many or too few, and every other axis that is not at its default, an image
    larger than one pixel being one; token ids and pixels (the seed) are none.

    Args:
        case: the case.
    """
    rows = (*case.rows, *(call.row for call in case.history))
    segments = [segment for row in rows for segment in row]
    images = [s for s in segments if isinstance(s, Image)]
    axes = ("side", "entry", "mode", "attention_mask", "cache", "how", "offset", "gap", "gain")
    return (
        len(rows)
        + len(images)
        + sum(max(image.width, image.height) > 1 for image in images)
        + sum(s.tokens for s in segments if isinstance(s, Text))
        + case.extra_padding
        + len(case.chunks)
        + case.decode
        + case.turn
        + (case.turn_image is not None)
        + case.cache_room
        + abs(case.extra_placeholders)
        + sum(bool(getattr(case, axis) != getattr(DEFAULT, axis)) for axis in axes)
    )
