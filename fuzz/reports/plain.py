"""Events as plain data and back; what an event is made of decides how, so a new one needs nothing.

Two kinds of value have a form of their own, the one they have everywhere else: cases and paths.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from fuzz.events import Event
from strategies import case as cases
from strategies.case import Case

KINDS: Final[dict[str, type]] = {kind.__name__: kind for kind in get_args(Event)}


def to_plain(event: Event) -> dict[str, Any]:
    """Return an event as JSON-ready data; ``event`` names its class."""
    return {"event": type(event).__name__, **_fields(event)}


def from_plain(data: Mapping[str, Any]) -> Event:
    """Build an event from what :func:`to_plain` gave.

    Raises:
        KeyError: a field is missing, or the class is unknown.
        TypeError: a value is of another type.
        ValueError: a value is none of those that it may be.
    """
    event: Event = _build(KINDS[data["event"]], data)
    return event


def _fields(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of an event's
    if isinstance(value, Case):
        return cases.to_plain(value)
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _build(kind: Any, data: Any) -> Any:  # noqa: ANN401 - as above
    if kind is Any:
        return data
    if kind is Case:
        return cases.from_plain(data)
    if kind is Path:
        return Path(_one(str, data))
    if is_dataclass(kind):
        if not isinstance(data, Mapping):
            raise TypeError(f"expected an object, got {data!r}")
        hints = get_type_hints(kind)
        assert isinstance(kind, type)  # noqa: S101 - for the type checker
        # What an earlier release of ropefuzz did not write down is at its default.
        there = [f for f in fields(kind) if f.name in data or _is_required(f)]
        return kind(**{f.name: _build(hints[f.name], data[f.name]) for f in there})
    return _build_parts(kind, get_origin(kind), get_args(kind), data)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _build_parts(kind: Any, origin: Any, parts: Sequence[Any], data: Any) -> Any:  # noqa: ANN401
    if origin in (Union, types.UnionType):
        return None if data is None else _build(parts[0], data)
    if origin is Literal:
        if data not in parts:
            raise ValueError(f"expected one of {', '.join(map(str, parts))}, got {data!r}")
        return data
    if origin is tuple:
        items = _one(list, data)
        inner = [parts[0]] * len(items) if parts[-1] is ... else list(parts)
        return tuple(_build(t, v) for t, v in zip(inner, items, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {_build(parts[0], k): _build(parts[1], v) for k, v in _one(dict, data).items()}
    return _one(kind, data)


def _one(kind: Any, data: Any) -> Any:  # noqa: ANN401 - as above
    if kind is float and type(data) is int:
        return float(data)
    if type(data) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {data!r}")
    return data
