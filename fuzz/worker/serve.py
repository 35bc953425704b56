"""What a worker process does: import once, build once, answer requests."""

from __future__ import annotations

import importlib
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Final, TypeAlias

from fuzz.claims import ACROSS
from fuzz.target import FLASH, FLEX, SDPA, target_from_plain
from fuzz.verdict import Outcome, outcome_to_plain
from fuzz.worker.errors import WorkerSetupError
from strategies.case import from_plain

Check: TypeAlias = Callable[[Any, Any], None]

NATIVE: Final = ("low_precision",)
"""Properties that do not judge by the exact lane, whatever the target's is."""

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
    # Patch embedding is a convolution, where TF32 (10 bits of mantissa) is on by default.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        import transformers
    except ImportError as error:
        raise WorkerSetupError(
            f"transformers cannot be imported ({error}); pip install 'transformers>=4.45'"
        ) from None
    from packaging.version import Version

    from fuzz.worker import flash, flex, release
    from fuzz.worker.unlisted import family_for

    if Version(transformers.__version__) < Version(release.OLDEST):
        raise WorkerSetupError(
            f"transformers {transformers.__version__} is too old, {release.OLDEST} or newer "
            "is needed"
        )
    # Before anything of transformers that asks for flash-attn is imported.
    installed = flash.set_up(target["device"])
    obstacles = {FLASH: flash.obstacle(target["dtype"])}
    family = family_for(target_from_plain(target))
    if not hasattr(transformers, family.architecture):
        raise WorkerSetupError(
            f"transformers {transformers.__version__} has no {family.architecture} (family "
            f"{family.name} exists since {family.since})"
        )
    if family.listed and Version(Version(transformers.__version__).base_version) < Version(
        family.since
    ):
        raise WorkerSetupError(
            f"transformers {transformers.__version__} is too old for family {family.name}, which "
            f"exists since {family.since}"
        )
    # The checks bring in the modeling module, the cache classes and generate().
    importlib.import_module("fuzz.worker.properties")
    from fuzz.worker.implementations import no_flash, no_sdpa

    importlib.import_module("fuzz.worker.plants")
    obstacles[FLEX] = flex.set_up(getattr(transformers, family.architecture), target["device"])
    obstacles[FLASH] = obstacles[FLASH] or no_flash(family.architecture)
    obstacles[SDPA] = no_sdpa(family.architecture)
    if reason := obstacles.get(target["attn"]):
        raise WorkerSetupError(f"{target['attn']} cannot be used: {reason}")
    _state["unchecked"] = [f"{n} is not compared: {why}" for n, why in obstacles.items() if why]
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    if installed.usable:
        versions["flash-attn"] = f"{installed.version} ({installed.extension})"
    return versions


def prepare(target: dict[str, Any]) -> dict[str, Any]:
    """Build the target's config, processor and first model in this process.

    Returns:
        ``geometry``; ``build_seconds`` of the model; ``unchecked``: what this environment lacks, a
        line each; ``not_applicable``: properties that say nothing here, with the reason;
        ``fragile``: see :func:`fuzz.worker.device.fragile`.

    Raises:
        WorkerSetupError: the target cannot be built.
    """
    import torch

    from fuzz.worker import flex
    from fuzz.worker.applicability import not_applicable
    from fuzz.worker.caches import said_of_lacks
    from fuzz.worker.device import fragile, missing, probe
    from fuzz.worker.geometry import geometry_of
    from fuzz.worker.implementations import part_without_flash
    from fuzz.worker.look import looked_at
    from fuzz.worker.plants import planter
    from fuzz.worker.subject import make_subject, model_of
    from strategies.geometry import geometry_to_plain

    if lacking := missing(torch.device(target["device"])):
        raise WorkerSetupError(f"{target['device']} cannot be used: {lacking}")
    subject = make_subject(target_from_plain(target), planter(target["plants"]))
    began = time.perf_counter()
    model = model_of(subject)
    seconds = time.perf_counter() - began
    subject.family, said = looked_at(subject)
    if lost := probe(subject.device):
        # On a device that a fork cannot use this shows before any case is blamed for it.
        raise RuntimeError(f"{subject.device} does not work in this process: {lost}")
    if target["attn"] != FLASH and (refused := part_without_flash(subject)):
        _state["unchecked"].append(f"{FLASH} is not compared: {refused}")
    if refused := flex.refuse_sinks(model, target["device"]):
        _state["unchecked"].append(f"{FLEX} is not compared: {refused}")
        if target["attn"] == FLEX:
            raise WorkerSetupError(f"{FLEX} cannot be used: {refused}")
    _state["subject"] = subject
    _state["not_applicable"] = not_applicable(subject)
    return {
        "geometry": geometry_to_plain(geometry_of(subject)),
        "build_seconds": seconds,
        "unchecked": [*_state["unchecked"], *said_of_lacks(subject), *said],
        "not_applicable": _state["not_applicable"],
        "fragile": fragile(subject.device),
    }


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request: check one case against one property, or explain how it fails.

    A check with ``guard`` has every index held against its table before a kernel sees it. One of
    ``version_agreement`` gives the results as well, or compares them ``against`` a baseline's. One
    with ``lines`` tells which lines of transformers ran.
    """
    if request["op"] == "sources":
        from fuzz.worker.lines import sources_of

        return sources_of(_state["subject"])
    if request["op"] == "settings":
        from fuzz.worker.settings import settings_of

        return settings_of(_state["subject"])
    if request["op"] == "sizes":
        from fuzz.worker.sizes import has_grids, sizes_of

        subject = _state["subject"]
        asked = [(int(w), int(h)) for w, h in request["sizes"]]
        return {"grids": sizes_of(subject, asked) if has_grids(subject) else None}
    if request["op"] == "explain":
        return {"said": _explained(request["property"], from_plain(request["case"]))}
    if request["op"] != "check":
        raise ValueError(f"unknown request {request['op']!r}")
    from fuzz.worker.device import release_memory

    case = from_plain(request["case"])
    began = time.perf_counter()
    gave: dict[str, Any] = {}
    check = _check_of(request["property"], request.get("against"), gave)
    with _watched(request.get("lines", False)) as lines:
        outcome = judge(request["property"], case, request.get("guard", False), check)
    if outcome.verdict == "oom":
        release_memory(_state["subject"].device)
    took = replace(outcome, seconds=time.perf_counter() - began)
    more = {**({"gave": gave} if gave else {}), **({"lines": lines} if lines else {})}
    return {"outcome": outcome_to_plain(took), **more}


def _watched(wanted: bool) -> AbstractContextManager[dict[str, list[int]]]:
    if not wanted:
        return nullcontext({})
    from fuzz.worker.lines import watched

    return watched()


def _check_of(property_id: str, against: Any, gave: dict[str, Any]) -> Check:
    """Return a property's check; what one of ``version_agreement`` gives is put into ``gave``."""
    from fuzz.worker import across
    from fuzz.worker.properties import CHECKS
    from fuzz.worker.widen import everywhere

    if property_id != ACROSS.id:
        return CHECKS[property_id]

    def check(subject: Any, case: Any) -> None:
        gave.clear()
        # What one release gives is compared in the other: both are asked alike.
        with everywhere():
            gave.update(across.check(subject, case, against))

    return check


def judge(property_id: str, case: Any, guard: bool = False, check: Check | None = None) -> Outcome:
    """Check one case against one property in this process, under the index guard if asked.

    Whatever is not a pass was seen, in the exact lane, by the mode that sees every request for
    float32 (:mod:`fuzz.worker.widen`). A failure is believed without it where the mode has seen
    the like of it in this process, and never the contrary. Of an index error, only the first of
    its kind in a process then says which index passed which table: what is reported comes from
    fresh ones.
    """
    from fuzz.worker.widen import everywhere

    def once(name_index: bool = False) -> Outcome:
        return _judge(property_id, case, guard, check, name_index)

    if _state["subject"].target.dtype != "exact" or property_id in NATIVE:
        return once(name_index=True)
    first = once()
    if first.verdict in ("pass", "broken", "oom") or poisoned():
        return first
    signature, believed = first.signature, _state["subject"].believed
    if signature is not None and believed.get(signature):
        return first
    with everywhere():
        sure = once(name_index=True)
    believed[signature] = sure.signature == signature and believed.get(signature, True)
    # What comes and goes by itself is not lost for that.
    return first if sure.verdict == "pass" and once().verdict == "pass" else sure


def _judge(
    property_id: str, case: Any, guard: bool, check: Check | None, name_index: bool
) -> Outcome:
    """Check a case once.

    Args:
        property_id: the property.
        case: the case.
        guard: whether every index is held against its table.
        check: what to call, None for the property's own.
        name_index: whether a case with an index error runs again to say which passed which table.
    """
    from fuzz.worker.compare import held
    from fuzz.worker.exact import lane
    from fuzz.worker.failure import Failed, failed, raised
    from fuzz.worker.guard.index import OutOfBounds, guarded

    subject = _state["subject"]
    check = check or _check_of(property_id, None, {})
    if reason := _state["not_applicable"].get(property_id):
        return Outcome("broken", f"{property_id} is not applicable: {reason}")
    watch = guarded(*subject.models.values()) if guard else nullcontext()
    subject.placed.clear()
    held()
    try:
        with lane(subject.target.dtype), watch:
            check(subject, case)
    except Failed as failure:
        return failed(property_id, failure)
    except OutOfBounds as error:
        return _for_property(raised(error), property_id)
    except IndexError as error:
        outcome = raised(error)
        named = _index_named(check, case, outcome) if name_index else outcome
        return _for_property(named, property_id)
    except Exception as error:
        return _for_property(raised(error), property_id)
    return Outcome("pass", idle=not held())


def _explained(property_id: str, case: Any) -> list[tuple[str, str]]:
    from fuzz.worker.explain import explain
    from fuzz.worker.properties import CHECKS
    from fuzz.worker.widen import everywhere

    with everywhere():
        return explain(_state["subject"], property_id, CHECKS[property_id], case)


def _index_named(check: Check, case: Any, outcome: Outcome) -> Outcome:
    """Run a case with an index error once more, to say which index passed which table."""
    from fuzz.worker.exact import lane
    from fuzz.worker.guard.index import OutOfBounds, guarded

    subject = _state["subject"]
    where = outcome.signature.where if outcome.signature else ""
    try:
        with lane(subject.target.dtype), guarded():
            check(subject, case)
    except OutOfBounds as found:
        return replace(outcome, message=f"{str(found).partition(':')[0]} in {where}")
    except Exception:  # noqa: S110 - the failure itself stands; only its wording is at stake
        pass
    return outcome


def _for_property(outcome: Outcome, property_id: str) -> Outcome:
    signature = outcome.signature
    if signature is None:
        return outcome
    if outcome.verdict == "fail":
        return outcome  # a kernel's, whatever was checked
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
