"""What a worker process does: import once, build once, answer requests."""

from __future__ import annotations

import importlib
import platform
import time
from dataclasses import replace
from typing import Any

from fuzz.families import FAMILIES
from fuzz.target import target_from_plain
from fuzz.verdict import Outcome, outcome_to_plain
from fuzz.worker.errors import WorkerSetupError
from strategies.case import from_plain

_state: dict[str, Any] = {}


def load(target: dict[str, Any]) -> dict[str, Any]:
    """Import torch, transformers and the family's modeling code; open no device.

    Called once in the preloaded process, before it forks.

    Returns:
        Versions by package name.

    Raises:
        WorkerSetupError: a package is missing, too old, or does not have the family.
    """
    try:
        import torch
    except ImportError as error:
        raise WorkerSetupError(f"torch cannot be imported: {error}") from None
    torch.set_num_threads(1)
    try:
        import transformers
    except ImportError as error:
        raise WorkerSetupError(
            f"transformers cannot be imported ({error}); pip install 'transformers>=4.45'"
        ) from None
    from packaging.version import Version

    from fuzz.worker import release

    if Version(transformers.__version__) < Version(release.OLDEST):
        raise WorkerSetupError(
            f"transformers {transformers.__version__} is too old, {release.OLDEST} or newer "
            "is needed"
        )
    family = FAMILIES[target["family"]]
    if not hasattr(transformers, family.architecture):
        raise WorkerSetupError(
            f"transformers {transformers.__version__} has no {family.architecture} (family "
            f"{family.name} exists since {family.since})"
        )
    # The checks bring in the modeling module, the cache classes and generate().
    importlib.import_module("fuzz.worker.properties")
    importlib.import_module("fuzz.worker.plants")
    getattr(transformers, family.architecture)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def prepare(target: dict[str, Any]) -> dict[str, Any]:
    """Build the target's config, processor and first model in this process.

    Raises:
        WorkerSetupError: the target cannot be built.
    """
    from fuzz.worker.geometry import geometry_of
    from fuzz.worker.plants import planter
    from fuzz.worker.subject import make_subject, model_of
    from strategies.geometry import geometry_to_plain

    subject = make_subject(target_from_plain(target), planter(target["plants"]))
    model_of(subject)
    _state["subject"] = subject
    return {"geometry": geometry_to_plain(geometry_of(subject))}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request: check one case against one property."""
    if request["op"] != "check":
        raise ValueError(f"unknown request {request['op']!r}")
    case = from_plain(request["case"])
    began = time.perf_counter()
    outcome = judge(request["property"], case)
    return {"outcome": outcome_to_plain(replace(outcome, seconds=time.perf_counter() - began))}


def judge(property_id: str, case: Any) -> Outcome:
    """Check one case against one property in this process."""
    from fuzz.worker.exact import lane
    from fuzz.worker.failure import Failed, failed, raised
    from fuzz.worker.properties import CHECKS

    subject = _state["subject"]
    try:
        with lane(subject.target.dtype):
            CHECKS[property_id](subject, case)
    except Failed as failure:
        return failed(property_id, failure)
    except IndexError as error:
        return _for_property(_explained(property_id, case, raised(error)), property_id)
    except Exception as error:
        return _for_property(raised(error), property_id)
    return Outcome("pass")


def _explained(property_id: str, case: Any, outcome: Outcome) -> Outcome:
    """Run a case with an index error once more, to say which index passed which table."""
    from fuzz.worker.bounds import IndexBounds, OutOfBounds
    from fuzz.worker.exact import lane
    from fuzz.worker.properties import CHECKS

    subject = _state["subject"]
    where = outcome.signature.where if outcome.signature else ""
    try:
        with lane(subject.target.dtype), IndexBounds():
            CHECKS[property_id](subject, case)
    except OutOfBounds as found:
        return replace(outcome, message=f"{found} in {where}")
    except Exception:  # noqa: S110 - the failure itself stands; only its wording is at stake
        pass
    return outcome


def _for_property(outcome: Outcome, property_id: str) -> Outcome:
    signature = outcome.signature
    if signature is None:
        return outcome
    if property_id == "clean_rejection":
        # Its cases are invalid: that one raises is right, that it raises this is what fails.
        return replace(outcome, signature=replace(signature, property=property_id))
    if outcome.verdict != "reject":
        return outcome
    if property_id == "no_crash":
        # Only valid cases are drawn for it, so refusing one is an error.
        return replace(outcome, verdict="error", signature=replace(signature, verdict="error"))
    return replace(outcome, signature=None)


def poisoned() -> str:
    """Return why this process's device is lost, "" while it is not."""
    from fuzz.worker.device import probe

    return probe(_state["subject"].device)
