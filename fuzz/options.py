"""Options that commands and pytest share, and what is read from them."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fuzz import checkpoint
from fuzz.errors import UsageProblem, choose
from fuzz.families import FAMILIES, family_of
from fuzz.isolation.deadline import Deadline
from fuzz.plants import PLANT_NAMES
from fuzz.target import ATTENTION, DTYPES, REAL, WEIGHTS, Target

_DAY: Final = 86_400.0
WRAPPED_TIMES: Final = 30
"""How many times as long a case may take under ``--wrap``: such tools slow everything down."""

SETUP_SECONDS: Final = 300.0
ATTN_HELP: Final = f"attention: {', '.join(ATTENTION)} (default: the family's, mostly sdpa)"


def add_limit_options(add: Callable[..., object]) -> None:
    """Add the options that say what a case may take; see :func:`add_target_options`."""
    add(
        "--deadline",
        type=_seconds,
        nargs=2,
        default=None,
        metavar=("MIN", "MAX"),
        help="seconds after which a case is a hang: learned from the cases before it, within "
        "these bounds (default: 3 60; under --wrap 90 1800)",
    )
    add(
        "--memory-limit",
        type=count,
        default=8192,
        metavar="MIB",
        help="memory that a case may take (default: %(default)s)",
    )


def deadline_from(arguments: argparse.Namespace) -> Deadline:
    """Return the deadline that options name.

    Raises:
        UsageProblem: its bounds are the wrong way round.
    """
    times = WRAPPED_TIMES if arguments.wrap else 1
    low, high = arguments.deadline or (3.0 * times, 60.0 * times)
    if low > high:
        raise UsageProblem(f"--deadline: expected MIN <= MAX, got {low:g} and {high:g}")
    return Deadline(floor=low, ceiling=high)


def setup_seconds_from(arguments: argparse.Namespace) -> float:
    """Return how long loading, and preparing, may each take."""
    return SETUP_SECONDS * (WRAPPED_TIMES if arguments.wrap else 1)


def add_images_option(add: Callable[..., object]) -> None:
    """Add ``--only-images`` to a parser; see :func:`add_target_options`."""
    add(
        "--only-images",
        action="store_true",
        help="draw only cases with an image, and make failures small to such",
    )


def wrap_from(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the words of the command that workers are run under, none where there is none.

    Raises:
        UsageProblem: it cannot be read, or there is no such command.
    """
    if arguments.wrap is None:
        return ()
    try:
        words = shlex.split(arguments.wrap)
    except ValueError as error:
        raise UsageProblem(f"--wrap: cannot be read as words: {error}") from None
    if not words:
        raise UsageProblem("--wrap: expected a command, got nothing")
    if shutil.which(words[0]) is None:
        raise UsageProblem(f"--wrap: {words[0]}: no such command")
    return tuple(words)


def add_environment_option(add: Callable[..., object]) -> None:
    """Add ``--env`` to a parser; see :func:`add_target_options`."""
    add(
        "--env",
        default="",
        metavar="REQUIREMENT",
        help="run another transformers, e.g. 5.2.0, in an environment of its own, which is made "
        "if it is not there; see ropefuzz env (default: the installed one)",
    )


def add_fresh_options(add: Callable[..., object]) -> None:
    """Add ``--fresh-process`` and ``--wrap`` to a parser; see :func:`add_target_options`."""
    add(
        "--fresh-process",
        action="store_true",
        help="run every case in an interpreter of its own, about 7 s each, for when what a fork "
        "inherits is in doubt",
    )
    add(
        "--wrap",
        metavar="COMMAND",
        help="run every case in an interpreter of its own under a command, e.g. "
        "'compute-sanitizer --tool memcheck --target-processes all --error-exitcode 99'; an exit "
        "code of it other than 0 is a finding",
    )


def add_target_options(
    add: Callable[..., object], plants: bool = True, several: bool = False
) -> None:
    """Add the options that name a target to a parser.

    Args:
        add: ``add_argument`` of argparse, or ``addoption`` of pytest.
        plants: also ``--plant``.
        several: whether ``--family`` may be given several times, or as ``all``.
    """
    help_text = "model family (default: that of --model's config.json, else qwen2_vl)"
    if several:
        more = f"{help_text}; repeat it, or all for every one"
        add("--family", action="append", default=[], metavar="FAMILY", help=more)
    else:
        add("--family", default="", help=help_text)
    add_checkpoint_options(add)
    add("--attn", default="", help=ATTN_HELP)
    add("--dtype", default="exact", help=f"{', '.join(DTYPES)} (default: exact)")
    add("--device", default="cpu", help="torch device (default: cpu)")
    if not plants:
        return
    add(
        "--plant",
        action="append",
        default=[],
        metavar="NAME",
        help="put a defect into the model on purpose; may be given several times",
    )


def add_checkpoint_options(add: Callable[..., object]) -> None:
    """Add ``--model`` and ``--weights`` to a parser; see :func:`add_target_options`."""
    add("--model", default="", metavar="DIR", help="a checkpoint directory, for its config")
    add(
        "--weights",
        default="random",
        help="random, or real for those that lie in --model's directory; of the layers that are "
        "kept only (default: random)",
    )


def target_from(arguments: argparse.Namespace) -> Target:
    """Return the target that options name.

    Raises:
        UsageProblem: an option names nothing known.
    """
    weights = choose("kind of weights", arguments.weights, WEIGHTS)
    if weights == REAL and not arguments.model:
        raise UsageProblem("--weights real: expected --model DIR, where they lie")
    # A directory may be of a family that is read off it; then it is not among those listed.
    named = checkpoint.check(Path(arguments.model), weights) if arguments.model else ""
    known = {*FAMILIES, *filter(None, [named])}
    family = choose("family", arguments.family or named or "qwen2_vl", known)
    if not re.fullmatch(r"cpu|cuda(:\d+)?", arguments.device):
        raise UsageProblem(f"unknown device {arguments.device!r}; expected cpu, cuda or cuda:N")
    return Target(
        family=family,
        model=arguments.model and str(Path(arguments.model).resolve()),
        attn=choose(
            "attention implementation", arguments.attn or family_of(family).attention, ATTENTION
        ),
        dtype=choose("dtype", arguments.dtype, DTYPES),
        device=arguments.device,
        plants=plants_of(getattr(arguments, "plant", ())),
        weights=weights,
    )


def plants_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return the planted defects by name.

    Raises:
        UsageProblem: one is unknown.
    """
    return tuple(choose("plant", name, PLANT_NAMES) for name in names)


def count(text: str) -> int:
    """Read a whole number of 1 or more, for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _DAY:
        raise argparse.ArgumentTypeError(
            f"expected a number of seconds above 0 and up to {_DAY:g}, got {text!r}"
        )
    return value


def duration(text: str) -> float:
    """Read a time such as 10m, in seconds, for argparse."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text)
    seconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2] or "s"] if found else 0.0
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 10m or 2h, got {text!r}")
    return seconds
