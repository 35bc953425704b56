"""A family without a file of data, as far as a checkpoint's config tells."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from fuzz import checkpoint
from fuzz.errors import UsageProblem
from fuzz.families import family_of
from fuzz.families.family import Family
from fuzz.target import Target
from fuzz.worker.errors import WorkerSetupError


def family_for(target: Target) -> Family:
    """Return a target's family; what is not in its data is read off the checkpoint directory.

    Raises:
        WorkerSetupError: the directory cannot be used, or the installed release does not know it.
    """
    family = family_of(target.family)
    if family.listed:
        return family
    if not target.model:
        raise WorkerSetupError(
            f"family {target.family} has no data of its own; it needs --model DIR"
        )
    try:
        config = checkpoint.config_in(Path(target.model))
    except UsageProblem as problem:
        raise WorkerSetupError(str(problem)) from None
    kind, architecture = _class_for(config, Path(target.model))
    return replace(family, model_type=kind, architecture=architecture)


def _class_for(config: dict[str, Any], folder: Path) -> tuple[str, str]:
    """Return the model type and the class that transformers has for a config.

    A config may have a type of its own and name a class of transformers all the same, as
    Kimi-K2's does; then that class's type counts.
    """
    import transformers

    known: Any = importlib.import_module("transformers.models.auto.configuration_auto")
    auto: Any = importlib.import_module("transformers.models.auto.modeling_auto")
    name = str(config.get("model_type"))
    if name not in known.CONFIG_MAPPING_NAMES:
        named = config.get("architectures")
        for architecture in named if isinstance(named, list) else ():
            cls = getattr(transformers, str(architecture), None)
            kind = getattr(getattr(cls, "config_class", None), "model_type", "")
            if kind in known.CONFIG_MAPPING_NAMES:
                name = kind
                break
        else:
            raise WorkerSetupError(
                f"{folder / 'config.json'}: transformers {transformers.__version__} knows no "
                f"model_type {name!r}"
            )
    mappings = ["MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"]
    if checkpoint.takes_images(config):
        mappings = ["MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES"]
    for mapping in mappings:
        found = getattr(auto, mapping, {}).get(name)
        if found:
            return name, found[0] if isinstance(found, tuple) else str(found)
    raise WorkerSetupError(
        f"{folder / 'config.json'}: transformers {transformers.__version__} has no model that "
        f"continues text for model_type {name!r}"
    )
