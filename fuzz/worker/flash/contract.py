"""The guard at flash-attn's compiled boundary: every call's preconditions, before the call.

The same code for any device; only lengths, starts and indices are copied to the host.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fuzz.worker.flash import cache_calls, calls
from fuzz.worker.flash.checks import Findings
from fuzz.worker.flash.preconditions import PRECONDITIONS, Precondition


@dataclass(frozen=True, slots=True)
class Breach:
    """A precondition that a call did not keep.

    Attributes:
        precondition: which one.
        actual: what was given, with its numbers.
    """

    precondition: Precondition
    actual: str

    def __str__(self) -> str:
        """Say what should hold, what was given, and whether the kernel notices."""
        rule = self.precondition
        return f"{rule.sentence} [{rule.code}], but {self.actual}; {rule.kernel}"


class ContractError(RuntimeError):
    """A call that flash-attn's compiled extension is not made for.

    Attributes:
        function: name of the function that was called.
        breaches: what does not hold, in the order it was looked at.
    """

    def __init__(self, function: str, breaches: tuple[Breach, ...]) -> None:
        """Take the function's name and what does not hold."""
        super().__init__(f"{function}: " + ". ".join(map(str, breaches)))
        self.function = function
        self.breaches = breaches

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the broken preconditions."""
        return tuple(breach.precondition.code for breach in self.breaches)


Check = Callable[..., None]

CHECKS: Final[Mapping[str, Check]] = {
    "fwd": calls.fwd,
    "varlen_fwd": calls.varlen_fwd,
    "fwd_kvcache": cache_calls.fwd_kvcache,
    "bwd": calls.bwd,
    "varlen_bwd": calls.varlen_bwd,
    "apply_rotary": calls.apply_rotary,
}


def check(name: str, *args: Any, wide: bool = False, **kwargs: Any) -> None:
    """Check one call's arguments.

    Args:
        name: the function, one of :data:`CHECKS`.
        args: what it is called with.
        wide: allow float32 and float64, which the reference takes and the kernels do not.
        kwargs: what it is called with by name.

    Raises:
        ContractError: a precondition does not hold; all that do not are named, unless the rest
            could not be looked at without it.
    """
    findings = Findings(wide)
    CHECKS[name](findings, *args, **kwargs)
    if findings.found:
        breaches = tuple(Breach(PRECONDITIONS[code], actual) for code, actual in findings.found)
        raise ContractError(name, breaches)


def guard(name: str, function: Callable[..., Any], wide: bool = False) -> Callable[..., Any]:
    """Return ``function`` with :func:`check` before each call.

    Args:
        name: what its arguments are checked as, one of :data:`CHECKS`.
        function: the real one or the reference.
        wide: see :func:`check`.
    """

    # Compiled functions carry no attributes that need to be kept beside their name and docstring.
    @functools.wraps(function, assigned=("__name__", "__doc__"), updated=())
    def guarded(*args: Any, **kwargs: Any) -> Any:
        check(name, *args, wide=wide, **kwargs)
        return function(*args, **kwargs)

    return guarded
