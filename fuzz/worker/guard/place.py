"""Where in a model something happened: the module by its path, the source line by its file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

UNDER_TEST = ("/transformers/", "/flash_attn/")


@dataclass(slots=True)
class Place:
    """Follows the modules of a model as they call each other.

    Attributes:
        names: the path of each module, by its identity.
        inside: the paths of those that are running, outermost first.
        raised_in: the path of the innermost one that an exception came out of, "" for none.
    """

    names: dict[int, str]
    inside: list[str] = field(default_factory=list)
    raised_in: str = ""

    def name_in(self, work: Callable[[], None], error: type[Exception]) -> None:
        """Do something, and add to an error of a kind where in the model that was."""
        try:
            work()
        except error as found:
            raise error(f"{found}{self.words()}") from None

    def words(self) -> str:
        """Return where the model is, e.g. ``, in model.layers.0 (modeling_x.py line 7)``."""
        module = f", in {self.inside[-1]}" if self.inside else ""
        line = _source_line()
        return module + (f" ({line})" if line else "")


@contextmanager
def watched(*models: torch.nn.Module) -> Iterator[Place]:
    """Follow the modules of models while the body runs; without any only source lines are known."""
    place = Place(
        {
            id(module): name or type(module).__name__
            for model in models
            for name, module in model.named_modules()
        }
    )

    def enter(module: torch.nn.Module, _args: Any) -> None:
        place.inside.append(place.names.get(id(module), type(module).__name__))

    def leave(_module: torch.nn.Module, _args: Any, result: Any) -> None:
        left = place.inside.pop()
        if result is None and not place.raised_in:
            place.raised_in = left  # the innermost one is left first

    before = register_module_forward_pre_hook(enter)
    after = register_module_forward_hook(leave, always_call=True)
    try:
        yield place
    finally:
        before.remove()
        after.remove()


def _source_line() -> str:
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if any(part in file for part in UNDER_TEST):
            return f"{Path(file).name} line {frame.f_lineno}"
        if frame.f_back is None:
            return ""
        frame = frame.f_back
    return ""
