"""What goes wrong around a check rather than in it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fuzz.verdict import Outcome

ProblemKind: TypeAlias = Literal["usage", "broken"]


class SetupProblem(Exception):
    """No worker can be had for this target.

    Attributes:
        kind: ``usage`` when the target asks for something that cannot be had (a person can
            change it), ``broken`` otherwise.
        message: one sentence for a person.
        details: more lines: a traceback, what the process printed.
    """

    def __init__(self, kind: ProblemKind, message: str, details: str = "") -> None:
        """Take what a person is told."""
        super().__init__(message)
        self.kind: ProblemKind = kind
        self.message = message
        self.details = details


class NoAnswer(Exception):
    """A worker was asked and gave no usable answer.

    Attributes:
        outcome: what a check reports instead.
    """

    def __init__(self, outcome: Outcome) -> None:
        """Take what a check reports."""
        super().__init__(outcome.message)
        self.outcome = outcome
