"""A run, a replay and a gate with one of everything, told as events."""

from __future__ import annotations

from pathlib import Path

from fuzz.events import (
    Differing,
    Event,
    Found,
    Gated,
    KnownSeen,
    Mapped,
    NotApplicable,
    Notice,
    Progress,
    PropertyDone,
    Replayed,
    RunEnded,
    RunStarted,
    Shrinking,
)
from fuzz.target import Target
from fuzz.tests.builders import FIRST, SIGNATURE, finding
from fuzz.tests.stub_run import entry
from fuzz.verdict import Signature
from strategies.case import Case, Image

TARGET = Target(attn="eager", plants=("mask-dropped",))
VERSIONS = {"torch": "2.9.0", "transformers": "5.23.0"}
FAILED = Found(finding(said=(("begins at", "layer 0 | <b>"),), target=TARGET), Path("saves/x.json"))
FLAKY = Found(
    finding(
        failed=1,
        property="causality",
        signature=Signature("causality", "fail", "logits"),
        message="logits differ by 0.5",
        case=Case(rows=((Image(4, 1),),)),
        details="",
    ),
    None,
    "could not be saved: full",
)
MAPPED = Mapped(
    SIGNATURE,
    ("text tokens", "first chunk in tokens"),
    ((0, 24), (0, 24)),
    ("##..", "#%!."),
    ("# fails", ". passes", "! not judged", "% some of both"),
    "fails exactly where text tokens <= 2; 40 runs",
)
GATED = Gated(
    verdict="BLOCKED: transformers 5.0.0 -> 5.1.0: 1 regressed",
    summary=("9 fresh cases: 8 same, 1 regressed", "Changed code: 3 of 4 statements ran"),
    differences=(Differing("regressed", FAILED.finding, FAILED.path),),
    sections={"Could not be judged": ("qwen2_vl: <no answer>",)},
    counts=(("qwen2_vl", "no_crash", {"same": 8, "regressed": 1}), ("llama", "causality", {})),
    exit_code=1,
    again="ropefuzz gate --baseline 5.0.0 --candidate 5.1.0",
)
EVENTS: tuple[Event, ...] = (
    Notice("flash_attention_2 is not compared: flash-attn is not there"),
    RunStarted(TARGET, VERSIONS, 7, 1.5),
    Progress("no_crash", 1, 40, "pass"),
    Shrinking("no_crash", SIGNATURE, FIRST, 3),
    FAILED,
    MAPPED,
    PropertyDone("no_crash", {"pass": 30, "error": 10}, 2, 60, 2.0),
    KnownSeen("causality", entry(url="https://github.com/huggingface/transformers/issues/1")),
    FLAKY,
    PropertyDone("causality", {"pass": 38, "fail": 1, "broken": 1}, 0, 50, 2.0, ("no answer",)),
    NotApplicable("image_independence", "the target takes no images"),
    Replayed(Path("saves/y.json"), "KNOWN", "known-images: r"),
    RunEnded(12.5, 1, False, "", "ropefuzz run --seed 7"),
    GATED,
)
