"""Reading plain data: each function returns what it is given, of a type, or says what it is not.

All raise :class:`CaseError`, with the place of the data in its message.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, cast


class CaseError(ValueError):
    """A case's data does not have the form of a case; the message names the field."""


def as_object(data: object, where: str) -> Mapping[str, object]:
    """Return an object as a table."""
    if not isinstance(data, dict):
        raise CaseError(f"{where}: expected an object, got {shown(data)}")
    return data


def as_list(data: object, where: str) -> list[object]:
    """Return a list."""
    if not isinstance(data, list):
        raise CaseError(f"{where}: expected a list, got {shown(data)}")
    return data


def as_integer(data: object, where: str, low: int | None = None) -> int:
    """Return a whole number, of at least ``low``."""
    if not isinstance(data, int) or isinstance(data, bool):
        raise CaseError(f"{where}: expected a whole number, got {shown(data)}")
    if low is not None and data < low:
        raise CaseError(f"{where}: expected {low} or more, got {data}")
    return data


def as_natural(data: object, where: str) -> int:
    """Return a whole number of 0 or more."""
    return as_integer(data, where, 0)


def as_number(data: object, where: str) -> float:
    """Return a finite number above 0."""
    # Infinity and NaN pass Python's JSON reader, but nobody else's.
    is_number = isinstance(data, (int, float)) and not isinstance(data, bool)
    if is_number and 0 < (number := cast(float, data)) <= sys.float_info.max:
        return float(number)
    raise CaseError(f"{where}: expected a finite number above 0, got {shown(data)}")


def as_truth(data: object, where: str) -> bool:
    """Return true or false."""
    if not isinstance(data, bool):
        raise CaseError(f"{where}: expected true or false, got {shown(data)}")
    return data


def one_of(*allowed: str) -> Callable[[object, str], Any]:
    """Return a reader of one of the words allowed."""

    def read(data: object, where: str) -> str:
        if data not in allowed:
            raise CaseError(f"{where}: expected one of {', '.join(allowed)}, got {shown(data)}")
        return str(data)

    return read


def shown(data: object) -> str:
    """Return data as a message shows it, cut short."""
    text = repr(data)
    return text if len(text) <= 40 else f"{text[:37]}..."
