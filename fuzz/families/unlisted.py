"""Families without a file of data: what is needed is read off a checkpoint directory."""

from __future__ import annotations

from typing import Final

from fuzz.families.family import Family

SPECIAL: Final = (
    "not listed: what is needed is read off the directory's config, the model's code and the "
    "running model"
)


def unlisted(model_type: str) -> Family:
    """Return a family of which only the name is known; the worker reads off the rest."""
    return Family(
        name=model_type,
        title=model_type,
        # The oldest release that is looked at.
        since="4.45.0",
        architecture="",
        config={},
        processor={},
        frame_tokens=0,
        special=SPECIAL,
        placing="",
    )
