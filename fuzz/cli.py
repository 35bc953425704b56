"""The command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from fuzz import interrupts, known_options
from fuzz.bench import options as benches
from fuzz.environments import cli as environments
from fuzz.errors import CannotJudge, UsageProblem, print_error
from fuzz.gate import options as gate
from fuzz.isolation.errors import SetupProblem
from fuzz.map import options as maps
from fuzz.options import (
    add_environment_option,
    add_fresh_options,
    add_images_option,
    add_limit_options,
    add_target_options,
    count,
    duration,
    target_from,
)
from fuzz.reports import options as reports

EPILOG: Final = """\
exit codes: 0 nothing new, 1 findings, 2 wrong use, 3 could not judge; of gate 1 means blocked

  ropefuzz run                                  fuzz the installed transformers
  ropefuzz run --plant rotary-table-short       see it find the bug that started this
  ropefuzz selfcheck                            does it find what it must, on this machine?
  ropefuzz replay regressions/qwen2_vl/X.json   does a saved failure still happen?
  ropefuzz gate --candidate newest              may this upgrade of transformers go in?
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    with interrupts.handled():
        try:
            return _run(_parser().parse_args(argv))
        except UsageProblem as problem:
            print_error(str(problem))
            return 2
        except CannotJudge as problem:
            print_error(str(problem))
            return 3
        except SetupProblem as problem:
            print_error(problem.message)
            if problem.kind == "usage":
                return 2
            print(problem.details, file=sys.stderr)
            return 3
        except KeyboardInterrupt:
            print_error("stopped")
            return 3
        except BrokenPipeError:
            # Whoever read our output has gone; nothing more can be said to them.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 3
        except OSError as error:
            print_error(f"cannot go on: {error}")
            return 3


def _run(arguments: argparse.Namespace) -> int:
    try:
        Path.cwd()
    except OSError as error:
        raise UsageProblem(f"the current folder cannot be used: {error.strerror}") from None
    # One folder for everything that is not a finding; read when Hypothesis is imported.
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", ".ropefuzz/hypothesis")
    # Here and not above: it takes a while, in which Ctrl-C must already be heard.
    from fuzz import commands

    if arguments.command == "run":
        return commands.run(arguments)
    if arguments.command == "replay":
        return commands.replay(arguments)
    if arguments.command == "repro":
        return commands.repro(arguments)
    if arguments.command == "selfcheck":
        return commands.selfcheck(target_from(arguments))
    if arguments.command == "envelope":
        return commands.envelope(target_from(arguments), arguments)
    if arguments.command == "map":
        return commands.draw_map(arguments)
    if arguments.command == "report":
        return commands.report(arguments)
    if arguments.command == "known":
        return commands.known(arguments)
    if arguments.command == "bench":
        return commands.bench(arguments)
    if arguments.command in ("gate", "bisect"):
        return commands.gate(arguments)
    if arguments.command == "env":
        return environments.main(arguments)
    if arguments.command == "families":
        return commands.list_families()
    return commands.list_names()


class _Parser(argparse.ArgumentParser):
    """argparse's own, but a mistake gets one line and not the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ropefuzz",
        description="Fuzz the rotary, attention and KV-cache code of multimodal models in "
        "the installed transformers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="fuzz a model family", description="Fuzz a family.")
    add_target_options(run.add_argument, several=True)
    run.add_argument(
        "--property",
        action="append",
        default=[],
        metavar="ID",
        help="check only this property; may be given several times",
    )
    amount = run.add_mutually_exclusive_group()
    amount.add_argument(
        "--cases", type=count, help="cases per property (default: 100)", metavar="N"
    )
    amount.add_argument(
        "--time", type=duration, help="run this long in all, e.g. 90s, 10m, 2h", metavar="T"
    )
    run.add_argument("--seed", type=int, help="draws the cases (default: a new one each run)")
    run.add_argument(
        "--save-to",
        type=Path,
        default=Path("regressions"),
        metavar="DIR",
        help="folder for findings (default: %(default)s)",
    )
    add_images_option(run.add_argument)
    add_limit_options(run.add_argument)
    add_fresh_options(run.add_argument)
    add_environment_option(run.add_argument)
    reports.add_option(run.add_argument)

    replay = commands.add_parser(
        "replay",
        help="replay saved regressions",
        description="Replay saved regressions: FIXED, FAILED, KNOWN or ERROR for each.",
    )
    replay.add_argument(
        "files", nargs="*", type=Path, help="files or folders (default: regressions)"
    )
    replay.add_argument("--plant", action="append", default=[], metavar="NAME")
    add_limit_options(replay.add_argument)
    add_fresh_options(replay.add_argument)
    add_environment_option(replay.add_argument)
    reports.add_option(replay.add_argument)

    repro = commands.add_parser(
        "repro",
        help="print a saved regression as a script without ropefuzz, or as a report",
        description="Print a script that shows a saved regression with torch and transformers "
        "alone: it exits with 1 when it happens, 0 when it is gone, 2 when that cannot be told.",
    )
    repro.add_argument("file", type=Path, metavar="FILE", help="a saved regression")
    repro.add_argument(
        "--issue",
        action="store_true",
        help="print the body of a report to transformers, in Markdown, with the script in it",
    )

    selfcheck = commands.add_parser(
        "selfcheck",
        help="does it find what it must, on this machine?",
        description="Bring about every planted defect and every fault on this machine, and say "
        "which are caught, and which cannot be on this lane and why.",
    )
    add_target_options(selfcheck.add_argument, plants=False)

    maps.add_parser(commands)
    reports.add_parser(commands)
    known_options.add_parser(commands)
    environments.add_parser(commands)
    gate.add_parser(commands)
    commands.add_parser("families", help="list the model families and what is special about them")
    commands.add_parser("list", help="list families, properties and plants")

    benches.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
