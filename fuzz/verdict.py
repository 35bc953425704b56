"""What one check of one case gave, and what makes two failures the same."""

from __future__ import annotations

import builtins
import hashlib
import re
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

Kind: TypeAlias = Literal["pass", "reject", "fail", "error", "crash", "hang", "oom", "broken"]

FAILURES: Final[frozenset[Kind]] = frozenset({"fail", "error", "crash", "hang", "oom"})
"""The verdicts that are findings. ``broken`` is our own fault and never counts as a pass."""

REFUSED: Final = "refused by"
"""How the message of a refusal in words begins."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What makes two failures the same; it survives a release, so it holds no line numbers.

    Attributes:
        property: the property that failed; ``no_crash`` for whatever raised, died or hung,
            since that is the claim which does not hold, whichever check ran into it.
        verdict: the failing verdict.
        what: exception type, signal or comparison leg.
        where: innermost function of the code under test, "" where unknown or meaningless.
        message: the message with its numbers removed.
    """

    property: str
    verdict: Kind
    what: str
    where: str = ""
    message: str = ""

    @builtins.property
    def fingerprint(self) -> str:
        """Ten hexadecimal digits that name this signature in file names."""
        text = "\x1f".join((self.property, self.verdict, self.what, self.where, self.message))
        return hashlib.sha256(text.encode()).hexdigest()[:10]


def alike(one: Signature, other: Signature) -> bool:
    """Tell whether two failures are one, though a function or a message may be another."""
    return (one.property, one.verdict, one.what) == (other.property, other.verdict, other.what)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one check.

    Attributes:
        verdict: see :data:`Kind`.
        message: one sentence for a person, "" for a plain pass.
        signature: set exactly when the verdict is a failure.
        details: more lines for a person: a traceback, stderr, the stack of a hang.
        seconds: how long the worker took, wall clock.
        idle: whether it is a pass for which there was nothing to compare.
    """

    verdict: Kind
    message: str = ""
    signature: Signature | None = None
    details: str = ""
    seconds: float = 0.0
    idle: bool = False

    @property
    def failed(self) -> bool:
        """Whether this is a finding."""
        return self.verdict in FAILURES


def without_numbers(message: str) -> str:
    """Return a message's first line with every number and address replaced by ``#``."""
    first = message.strip().splitlines()[0] if message.strip() else ""
    text = re.sub(r"0x[0-9a-fA-F]+", "#", first)
    text = re.sub(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", "#", text)
    text = re.sub(r"#(?:\s*,\s*#)+", "#", text)
    return text[:160]


_LONGEST: Final = 2_000  # characters of a message: it is one sentence


def _clean(text: str) -> str:
    """Return a text that any file and terminal takes: file names can hold half characters."""
    return text.encode("utf-8", "replace").decode()


def outcome_to_plain(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as JSON-ready data."""
    return asdict(outcome)


def outcome_from_plain(data: dict[str, Any]) -> Outcome:
    """Build an outcome from what :func:`outcome_to_plain` gave."""
    signature = data.get("signature")
    if signature is not None:
        cleaned: dict[str, Any] = {name: _clean(text) for name, text in signature.items()}
        signature = Signature(**cleaned)
    return Outcome(
        verdict=data["verdict"],
        message=_clean(data["message"])[:_LONGEST],
        signature=signature,
        details=_clean(data["details"]),
        seconds=data["seconds"],
        idle=data.get("idle", False),
    )
