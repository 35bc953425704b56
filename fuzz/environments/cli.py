"""``ropefuzz env``: other releases of transformers to run in."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any, Final

from fuzz.environments import manifest
from fuzz.environments.requirement import PACKAGE, parse
from fuzz.environments.store import VARIABLE, Store, default_root
from fuzz.errors import print_error

DESCRIPTION: Final = f"""\
An environment is a folder with another transformers and what that release needs otherwise than it
is installed; torch and the rest are shared with the running environment. They are kept in your
cache, or below the folder that {VARIABLE} names. --env of run and replay adds what is not there.
"""


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add ``env`` and its own commands to a parser's commands."""
    env = commands.add_parser("env", help="other releases of transformers: add, list, remove")
    env.description = DESCRIPTION
    actions = env.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="build environments, unless they are there")
    add.add_argument(
        "what",
        nargs="+",
        metavar="REQUIREMENT",
        help="a release (5.2.0), 'transformers>=5.2,<5.3' (the newest that fits), newest, or the "
        "path of a checkout, a wheel or an sdist",
    )
    actions.add_parser("list", help="list them, with their sizes")
    remove = actions.add_parser("remove", help="remove environments")
    remove.add_argument("what", nargs="+", metavar="NAME", help="a name that list gives")


@contextlib.contextmanager
def import_path(requirement: str) -> Iterator[tuple[str, ...]]:
    """Have what comes first on a worker's import path, for as long as the block runs.

    Args:
        requirement: as ``env add`` takes it; "" for the running environment.

    Raises:
        UsageProblem: there is no such release.
        CannotJudge: the environment cannot be built now.
    """
    if not requirement:
        yield ()
        return
    with Store(default_root(), print_error).use(requirement) as environment:
        yield (str(environment.folder),) if environment.folder else ()


def main(arguments: argparse.Namespace) -> int:
    """Do what was asked.

    Raises:
        UsageProblem: there is no such release or environment.
        CannotJudge: an environment cannot be built now.
    """
    store = Store(default_root(), print_error)
    if arguments.action == "add":
        for text in arguments.what:
            requirement = parse(text, store.releases)
            done, new = store.add(requirement)
            print(f"{'built' if new else 'there'}  {_line(store, requirement.name, done)}")
    elif arguments.action == "remove":
        for name in dict.fromkeys(arguments.what):
            size = store.remove(name)
            print(f"removed {name}: {size / 1e6:.0f} MB")
    else:
        names = store.names()
        if not names:
            print(f"no environments in {store.root}")
        for name in names:
            print(_line(store, name, manifest.read(store.root / name)))
    return 0


def _line(store: Store, name: str, there: manifest.Manifest | None) -> str:
    folder = store.root / name
    if there is None:
        return f"{name:<12} BROKEN: it is incomplete; built again when it is needed"
    # A checkout that has changed is no fault of the environment's; it is told when it is used.
    why = manifest.unsound(folder, there, there.stamp)
    broken = f" BROKEN: {why}; built again when it is needed" if why else ""
    size = manifest.size_of(folder)
    return (
        f"{name:<12} transformers {there.packages[PACKAGE]}, {size / 1e6:.0f} MB, "
        f"built in {there.seconds:.1f} s, {folder}{broken}"
    )
