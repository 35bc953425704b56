"""What the tests share: findings to save and to describe."""

from __future__ import annotations

from typing import Any, Final

from fuzz.finding import Finding
from fuzz.target import Target
from fuzz.verdict import Signature
from strategies.case import Case, Image, Text

SIGNATURE: Final = Signature(
    "no_crash", "error", "IndexError", "modeling_qwen2_vl.rotate", "index # is out of bounds"
)
FIRST: Final = Case(rows=((Text(12), Image(200, 90)), (Text(3),)), side="right", seed=2)


def finding(**changes: Any) -> Finding:
    given: dict[str, Any] = {
        "property": "no_crash",
        "signature": SIGNATURE,
        "message": "index 0 passed a table of 0 rows",
        "case": Case(),
        "first": FIRST,
        "target": Target(),
        "versions": {"python": "3.12.3", "torch": "2.9.0", "transformers": "5.23.0"},
        "runs": 3,
        "failed": 3,
        "attempts": 17,
        "complete": True,
        "details": "Traceback (most recent call last):\n  ...",
        "date": "2026-11-22",
    }
    return Finding(**{**given, **changes})
