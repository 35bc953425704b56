"""The worker of the fault matrix and of the soak: "no_crash+abort" checks no_crash and aborts."""

from __future__ import annotations

from typing import Any

from fuzz.worker import serve

load = serve.load
poisoned = serve.poisoned


def prepare(target: dict[str, Any]) -> dict[str, Any]:
    """Prepare the target, its models ready to bring about any fault."""
    return serve.prepare({**target, "plants": ["on-demand"]})


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request; a fault in the property's name happens inside the model's first call."""
    from fuzz.worker.plants.process import arm

    property_id, _, fault = request["property"].partition("+")
    if fault:
        arm(fault)
    return serve.answer({**request, "property": property_id})
