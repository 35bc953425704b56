"""A run with one of everything, told as events."""

from __future__ import annotations

from pathlib import Path

from fuzz.events import (
    Event,
    Found,
    KnownSeen,
    NotApplicable,
    Notice,
    Progress,
    PropertyDone,
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
EVENTS: tuple[Event, ...] = (
    Notice("flash_attention_2 is not compared: flash-attn is not there"),
    RunStarted(TARGET, VERSIONS, 7, 1.5),
    Progress("no_crash", 1, 40, "pass"),
    Shrinking("no_crash", SIGNATURE, FIRST, 3),
    FAILED,
    PropertyDone("no_crash", {"pass": 30, "error": 10}, 2, 60, 2.0),
    KnownSeen("causality", entry(url="https://github.com/huggingface/transformers/issues/1")),
    FLAKY,
    PropertyDone("causality", {"pass": 38, "fail": 1, "broken": 1}, 0, 50, 2.0, ("no answer",)),
    NotApplicable("image_independence", "the target takes no images"),
    RunEnded(12.5, 1, False, "", "ropefuzz run --seed 7"),
)
