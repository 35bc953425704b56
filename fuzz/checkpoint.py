"""What a checkpoint directory says of itself: its config, its processor's config, its family."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from fuzz import tensor_files
from fuzz.errors import UsageProblem
from fuzz.target import REAL

PROCESSOR_FILES: Final = ("preprocessor_config.json", "processor_config.json")
"""Where releases keep the image processor's settings; in the second among those of others."""


# Findings are saved in a folder of that name.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def check(folder: Path, weights: str) -> str:
    """Look at all of a checkpoint directory that a run will need, and return its family.

    Args:
        folder: the directory.
        weights: one of :data:`fuzz.target.WEIGHTS`.

    Raises:
        UsageProblem: it cannot be used; one line says why.
    """
    config = config_in(folder)
    family = family_of(config, folder)
    if takes_images(config) and processor_in(folder) is None:
        raise UsageProblem(
            f"{folder}: its config has a vision_config, but there is neither "
            f"{' nor '.join(PROCESSOR_FILES)} to prepare images by"
        )
    if weights == REAL:
        tensor_files.files_in(folder)
    return family


def config_in(folder: Path) -> dict[str, Any]:
    """Return the ``config.json`` of a checkpoint directory.

    Raises:
        UsageProblem: there is none, or none that can be read.
    """
    try:
        # exists() and is_dir() say no as well where they cannot tell.
        next(folder.iterdir(), None)
    except FileNotFoundError:
        raise UsageProblem(f"{folder}: no such model directory") from None
    except NotADirectoryError:
        raise UsageProblem(f"{folder}: a file; expected a model directory") from None
    except OSError as error:
        raise UsageProblem(f"{folder}: cannot be read: {error.strerror}") from None
    config = _json_in(folder / "config.json")
    if config is None:
        raise UsageProblem(
            f"{folder / 'config.json'}: no such file; a model directory needs a config.json"
        )
    return config


def processor_in(folder: Path) -> dict[str, Any] | None:
    """Return the settings of a checkpoint directory's image processor, None without any.

    Raises:
        UsageProblem: a file cannot be read.
    """
    for name in PROCESSOR_FILES:
        data = _json_in(folder / name)
        if data is None:
            continue
        within = data.get("image_processor")
        if isinstance(within, dict):
            return within
        if name == PROCESSOR_FILES[0]:
            return data
    return None


def takes_images(config: dict[str, Any]) -> bool:
    """Tell whether a ``config.json`` describes a model that takes images."""
    return isinstance(config.get("vision_config"), dict)


def family_of(config: dict[str, Any], folder: Path) -> str:
    """Return the family that a ``config.json`` names; one without a file of data is one too.

    Raises:
        UsageProblem: it names none, or nothing that could be one.
    """
    name = config.get("model_type")
    if name is None:
        raise UsageProblem(f"{folder / 'config.json'}: no model_type")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageProblem(f"{folder / 'config.json'}: model_type {name!r} is no name")
    return name


def _json_in(file: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageProblem(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageProblem(f"{file}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise UsageProblem(f"{file}: expected a JSON object, got {type(data).__name__}")
    return data
