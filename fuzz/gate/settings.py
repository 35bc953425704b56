"""Are the two sides set up alike? If not, no difference between them says anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fuzz.families import family_of

_MOVED: Final = ("rope_", "partial_rotary_factor")
"""Read back under one name, in ``rope``, whatever a release calls them."""
_SHOWN: Final = 3


def differences(
    baseline: Mapping[str, Any], candidate: Mapping[str, Any], family: str
) -> list[str]:
    """Return what is not set up alike, a sentence each.

    Values that only one release has at all are its own business, unless the family sets them.

    Args:
        baseline: what a worker answers to ``settings``.
        candidate: likewise.
        family: the family.
    """
    found = []
    asked = _names(family_of(family).config)
    for part in ("config", "rope", "processor"):
        one, other = baseline[part], candidate[part]
        for name in sorted({*one, *other}):
            both = name in one and name in other
            if both and one[name] != other[name]:
                found.append(f"{part} {name} is {other[name]!r}, {one[name]!r} in the baseline")
            elif not both and part == "config" and name in asked:
                side = "baseline" if name in other else "candidate"
                found.append(f"config {name} is unknown to the {side}")
    return found + _weights(baseline["weights"], candidate["weights"])


def _weights(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[str]:
    gone = [n for n in baseline if n not in candidate]
    come = [n for n in candidate if n not in baseline]
    if gone or come:
        return [
            "the candidate has renamed or restructured weights, which cannot be set alike: "
            f"only the baseline has {_some(gone)}, only the candidate {_some(come)}"
        ]
    shapes = [n for n in baseline if baseline[n][:-1] != candidate[n][:-1]]
    if shapes:
        return [f"weights have other shapes: {_some(shapes)}"]
    values = [n for n in baseline if baseline[n] != candidate[n]]
    return [f"weights have other values: {_some(values)}"] if values else []


def _names(table: Mapping[str, Any], prefix: str = "") -> set[str]:
    names: set[str] = set()
    for key, value in table.items():
        if key == "text_config" and isinstance(value, Mapping):
            names |= _names(value)
        elif key.startswith(_MOVED):
            continue
        elif isinstance(value, Mapping):
            names |= _names(value, f"{prefix}{key}.")
        else:
            names.add(f"{prefix}{key}")
    return names


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
