"""The worker of the fault matrix, of the soak and of the self-check.

"no_crash+abort" checks no_crash and brings about a fault meanwhile, "causality@padding-leak" checks
a property on a model with a plant, built when it is first asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fuzz.worker import serve

load = serve.load
poisoned = serve.poisoned

_subjects: dict[str, Any] = {}


def prepare(target: dict[str, Any]) -> dict[str, Any]:
    """Prepare the target, its models ready to bring about any fault."""
    return serve.prepare({**target, "plants": ["on-demand"]})


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request; a fault in the property's name happens inside the model's first call."""
    from fuzz.worker.plants.process import arm

    named, _, fault = request["property"].partition("+")
    property_id, _, plant = named.partition("@")
    if fault:
        arm(fault)
    _use(plant)
    return serve.answer({**request, "property": property_id})


def _use(plant: str) -> None:
    """Have the next check run on the target with a plant, "" for the target as prepared."""
    from fuzz.plants import PLANTS
    from fuzz.target import FLASH
    from fuzz.worker.plants import planter
    from fuzz.worker.subject import make_subject

    _subjects.setdefault("", serve._state["subject"])
    if plant not in _subjects:
        target = _subjects[""].target
        attn = FLASH if PLANTS[plant].attn == FLASH else target.attn
        target = replace(target, plants=(plant,), attn=attn)
        _subjects[plant] = make_subject(target, planter(target.plants))
    serve._state["subject"] = _subjects[plant]
