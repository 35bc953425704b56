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
from strategies.case import Case, from_plain

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
        smallest: the smallest case that is known, None while none is.
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
    smallest: Case | None

    def matches(self, signature: Signature) -> bool:
        """Tell whether a failure is this bug, and not just any."""
        return signature.verdict == self.verdict and signature.what.startswith(self.what)


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
    smallest = data["smallest"]
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
        smallest=None if smallest is None else from_plain(smallest),
    )
