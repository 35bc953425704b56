"""``ropefuzz selfcheck``: every planted defect and every fault, on the user's own machine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from fuzz import campaign
from fuzz.bench import faults as matrix
from fuzz.campaign import Look, Plan, Tally
from fuzz.families import family_of
from fuzz.faults import FAULTS, PREFIX, REAL, Fault
from fuzz.isolation.deadline import Deadline
from fuzz.isolation.supervisor import Supervisor
from fuzz.plants import NOTHING, PLANTS, Plant
from fuzz.session import PROPERTY_KINDS
from fuzz.target import FLASH, LOW, Target
from fuzz.verdict import Outcome, Signature
from strategies.case import Case
from strategies.cases import cases as draw_cases
from strategies.geometry import geometry_from_plain
from strategies.kinds import KINDS

Result: TypeAlias = Literal["caught", "MISSED", "expected"]

CASES: Final = 300
"""Cases that a defect may take to be found."""
MEMORY_LIMIT_MIB: Final = {"cpu": matrix.MEMORY_LIMIT_MIB, "cuda": 8 * matrix.MEMORY_LIMIT_MIB}
"""Memory that a case may take: a device's first use of each kernel takes the host's, too."""
DEADLINE: Final = (2.0, 8.0)
"""Seconds: some faults wait without end, and are asked for one after the other."""
ATTEMPTS: Final = 3
"""Fresh processes that are asked where one did not answer in time."""
NO_GPU: Final = "not run: no GPU"
NAMED: Final[dict[str, Plant | Fault]] = {
    **PLANTS,
    **{f"{PREFIX}{name}": fault for name, fault in {**FAULTS, **REAL}.items()},
}
"""What is brought about, in this order; faults have their names as plants."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What decides which defects can be seen.

    Attributes:
        target: what is checked.
        no_flash: why flash_attention_2 cannot be used, "" where it can.
        images: whether the target takes images.
        one_axis: whether its positions number a row's tokens, images or not.
        not_applicable: properties that say nothing of the target, with the reason.
        lacks: see :attr:`strategies.geometry.Geometry.lacks`.
        slides: whether any of its layers has a sliding window.
    """

    target: Target
    no_flash: str
    images: bool = True
    one_axis: bool = False
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    lacks: Sequence[str] = ()
    slides: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """What is not seen on some lanes, and why.

    Attributes:
        name: of :data:`NAMED`.
        blind: whether it is not seen on a lane.
        reason: one sentence.
    """

    name: str
    blind: Callable[[Lane], bool]
    reason: str


def _on_low(lane: Lane) -> bool:
    return lane.target.dtype in LOW


def _has_one_axis(lane: Lane) -> bool:
    return lane.one_axis


def _has_no_grids(lane: Lane) -> bool:
    return not lane.images or not family_of(lane.target.family).placing.startswith("grid")


def _has_no_videos(lane: Lane) -> bool:
    return not family_of(lane.target.family).video


def _has_no_blocks(lane: Lane) -> bool:
    return family_of(lane.target.family).video != "block"


_NO_GRIDS: Final = "what sets it off is a grid of patches, which the target is not given"
_ONE_AXIS: Final = "positions have one axis and no offset that is kept"
GAPS: Final[tuple[Gap, ...]] = (
    Gap("abort", _has_no_grids, _NO_GRIDS),
    Gap("hang", _has_no_grids, _NO_GRIDS),
    Gap("mrope-axes-swapped", _has_one_axis, _ONE_AXIS),
    Gap("stale-rope-deltas", _has_one_axis, _ONE_AXIS),
    Gap("frames-skipped", _has_no_videos, "no video is made for the target"),
    Gap("video-times-lost", _has_no_blocks, "a frame's time is not in its position"),
    Gap(
        "causal-off-by-one",
        lambda lane: lane.target.attn == FLASH,
        "flash_attention_2 takes no dense mask: it dies of this one, which is another finding",
    ),
    Gap(
        "first-key-hidden",
        lambda lane: lane.target.attn == FLASH,
        "flash_attention_2 takes no dense mask: it dies of this one, which is another finding",
    ),
    Gap(
        "image-hidden-from-text",
        lambda lane: lane.target.attn == FLASH,
        "flash_attention_2 takes no dense mask: it dies of this one, which is another finding",
    ),
    *(
        Gap(name, lambda lane: not lane.images, "no image is drawn for the target")
        for name in (
            "image-hidden-from-text",
            "last-image-dropped",
            "features-one-late",
            "later-images-blank",
        )
    ),
    Gap(
        "image-hidden-from-text",
        lambda lane: family_of(lane.target.family).placing == "crossing",
        "cross attention sees its images, whatever the text's attention hides",
    ),
    Gap(
        "later-images-blank",
        lambda lane: "turn_image" in lane.lacks,
        "it is given no image after its first answer",
    ),
    *(
        Gap(
            name,
            lambda lane: family_of(lane.target.family).told_of_tokens == "prefix",
            "a prompt that sees itself goes in as one piece: only generate feeds it on",
        )
        for name in (
            "length-remembered",
            "own-cache-last-key",
            "positions-restart",
            "quantized-scale",
        )
    ),
    Gap("crop-forgotten", lambda lane: "crop" in lane.lacks, "its cache cannot be cropped"),
    Gap(
        "quantized-scale",
        lambda lane: lane.slides or "quantized" in lane.lacks,
        "no quantized cache is drawn for it: it has none, or one that slides instead",
    ),
    Gap("eager-scale", _on_low, "one percent of a score is within what rounding allows"),
    Gap(
        "experts-scale",
        lambda lane: lane.target.dtype != "exact",
        "experts are compared in float64 alone",
    ),
    Gap("eager-gradient", _on_low, "one percent of a gradient is within what rounding allows"),
    Gap(
        "half-mask-too-small",
        lambda lane: lane.target.dtype == "bfloat16",
        "in bfloat16 that number is -87, which hides a key",
    ),
    Gap(
        "stale-rope-deltas",
        lambda lane: lane.target.dtype == "bfloat16",
        "a few positions are within what rounding to 8 bits allows",
    ),
    *(Gap(f"{PREFIX}{name}", lambda lane: lane.target.device == "cpu", NO_GPU) for name in REAL),
)


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one defect or fault.

    Attributes:
        name: its name.
        result: whether it was seen; ``expected`` where it could not be.
        said: by what, or why not.
        seconds: how long it took.
    """

    name: str
    result: Result
    said: str
    seconds: float = 0.0


def is_of_images(plant: Plant) -> bool:
    """Tell whether only cases with images can show a defect to the property that must see it."""
    demands = KINDS[PROPERTY_KINDS[plant.killer]]
    return not demands.valid or demands.images > 0


def expected_to_be_missed(name: str, lane: Lane) -> str:
    """Return why a plant or fault cannot be seen on a lane, "" where it must be."""
    plant = NAMED[name]
    if isinstance(plant, Plant) and plant.attn == FLASH and lane.no_flash:
        return lane.no_flash
    if isinstance(plant, Plant) and not lane.images and is_of_images(plant):
        return "the target takes no images"
    if isinstance(plant, Plant) and plant.killer in lane.not_applicable:
        return f"{plant.killer} is not applicable: {lane.not_applicable[plant.killer]}"
    return next((gap.reason for gap in GAPS if gap.name == name and gap.blind(lane)), "")


def main(
    target: Target,
    supervise: Callable[..., Supervisor],
    names: Iterable[str] = tuple(NAMED),
    limit_mib: int | None = None,
) -> int:
    """Check and print; returns 0 if all is as expected, 1 if something was missed, 3 if stopped.

    Args:
        target: what to plant into.
        supervise: makes a supervisor of a target, given more of its settings by name.
        names: of :data:`NAMED`.
        limit_mib: memory that a case may take, None for what the device needs.

    Raises:
        SetupProblem: the target cannot be started.
    """
    names = tuple(names)
    limit = limit_mib or MEMORY_LIMIT_MIB[target.device.partition(":")[0]]
    counts: Counter[Result] = Counter()
    began = time.monotonic()
    print(f"selfcheck of {target.name} ({target.attn}, {target.dtype}, {target.device})")
    try:
        with supervise(
            target,
            worker_module=matrix.WORKER,
            memory_limit_mib=limit,
            deadline=Deadline(*DEADLINE),
        ) as supervisor:
            info = supervisor.start().info
            print(f"ready in {time.monotonic() - began:.0f} s", flush=True)
            lane = lane_of(target, info)
            for name in names:
                print(f"  {name:<33} ", end="", flush=True)
                line = _one(name, supervisor, info, lane)
                counts[line.result] += 1
                spent = f", {line.seconds:.1f} s" if line.seconds else ""
                print(f"{line.result:<9} {line.said}{spent}", flush=True)
    except KeyboardInterrupt:
        print(f"\nstopped; {_summary(counts)}")
        return 3
    print(f"{_summary(counts)}; {time.monotonic() - began:.0f} s")
    return 1 if counts["MISSED"] else 0


def lane_of(target: Target, info: Mapping[str, Any]) -> Lane:
    """Return what decides which defects can be seen, by what starting a target told."""
    said = (text for text in info.get("unchecked", ()) if text.startswith(FLASH))
    sizes = info.get("geometry", {})
    return Lane(
        target,
        next(said, ""),
        images=sizes.get("images", True),
        one_axis=sizes.get("one_axis", False),
        not_applicable=info.get("not_applicable", {}),
        lacks=sizes.get("lacks", ()),
        slides=bool(sizes.get("sliding_window", 0)),
    )


def _summary(counts: Counter[Result]) -> str:
    return (
        f"{counts.total()} defects and faults: {counts['caught']} caught, "
        f"{counts['MISSED']} missed, {counts['expected']} expected to be missed here"
    )


def _one(name: str, supervisor: Supervisor, info: dict[str, Any], lane: Lane) -> Line:
    if reason := expected_to_be_missed(name, lane):
        return Line(name, "expected", reason)
    began = time.monotonic()
    what = NAMED[name]
    if isinstance(what, Plant):
        result, said = search_for(what, supervisor, info)
    else:
        result, said = _fault(what, supervisor, lane)
    return Line(name, result, said, time.monotonic() - began)


def search_for(plant: Plant, supervisor: Supervisor, info: dict[str, Any]) -> tuple[Result, str]:
    """Search as a run does, until the property that must see the defect fails by its doing.

    Args:
        plant: the defect.
        supervisor: started, with the worker that plants on demand.
        info: what starting it told.

    Returns:
        What became of it, and by what or why not; ``expected`` where there is nothing to break.
    """
    asked = f"{plant.killer}@{plant.name}"

    def by_the_plant(case: Case, signature: Signature) -> bool:
        # What fails alike without the defect shows nothing of it.
        return (
            not found
            and signature.property == plant.killer
            and supervisor.check(plant.killer, case).signature != signature
        )

    def lacking() -> str:
        return next((m for m in tally.broken if m.startswith(NOTHING)), "")

    found: list[tuple[Case, Outcome]] = []
    tally = Tally()
    campaign.search(
        draw_cases(geometry_from_plain(info["geometry"]), PROPERTY_KINDS[plant.killer]),
        Plan(CASES, None, campaign.seed_of(0, plant.name), lambda: bool(found or lacking())),
        Look(lambda case: supervisor.check(asked, case), tally),
        lambda case, outcome: found.append((case, outcome)),
        by_the_plant,
        lambda _: None,
    )
    if tally.interrupted:
        raise KeyboardInterrupt
    if tally.fatal is not None:
        raise tally.fatal
    if lacking():
        return "expected", lacking()
    if not found:
        return "MISSED", f"{plant.killer} saw nothing in {tally.generated} cases"
    case, outcome = found[0]
    again = supervisor.check_fresh(asked, case)
    for _ in range(ATTEMPTS - 1):
        # On a busy machine a new process may be slow to build its first model.
        if again.verdict == "hang" != outcome.verdict:
            again = supervisor.check_fresh(asked, case)
    if again.signature != outcome.signature:
        return "MISSED", f"{_by(outcome)}, but {again.verdict} in a fresh process"
    return "caught", f"{_by(outcome)}, case {tally.generated}"


def _fault(fault: Fault, supervisor: Supervisor, lane: Lane) -> tuple[Result, str]:
    row = matrix.row(supervisor, fault, matrix.CASE if lane.images else matrix.TEXT)
    if row.problem:
        return "MISSED", row.problem
    return "caught", f"{fault.verdict} {fault.what}".rstrip()


def _by(outcome: Outcome) -> str:
    signature = outcome.signature
    return f"{signature.property} ({outcome.verdict}: {signature.what})" if signature else ""
