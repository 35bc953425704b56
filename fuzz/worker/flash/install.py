"""Making flash-attn run in this process: the real extension guarded, or the reference.

The calls of a real one are also held against float64 (:mod:`fuzz.worker.flash.shadow`).

What is replaced: the compiled extension ``flash_attn_2_cuda`` and the Triton module for rotary
embeddings, where there is no GPU for them; transformers' answer to whether flash-attn is available,
and its test that a model is on a GPU. All else of flash-attn and transformers is their own code.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from fuzz.worker.flash import extension, rotary
from fuzz.worker.flash.contract import guard
from fuzz.worker.flash.shadow import shadowed

FUNCTIONS: Final = ("fwd", "varlen_fwd", "fwd_kvcache", "bwd", "varlen_bwd")
# The custom operators that flash_attn/flash_attn_interface.py of 2.8.3.post2 declares for cuda.
OPERATORS: Final = (
    "_flash_attn_forward",
    "_flash_attn_varlen_forward",
    "_flash_attn_backward",
    "_flash_attn_varlen_backward",
)
_AVAILABLE: Final = "is_flash_attn_2_available"
# 4.45 to 4.55 check while the model is made, later releases also when it is there.
_PLACEMENT: Final = (
    "_check_and_enable_flash_attn_2",
    "_flash_attn_2_can_dispatch",
    "_flash_attn_can_dispatch",
)


@dataclass(frozen=True, slots=True)
class Installed:
    """What stands behind ``attn_implementation="flash_attention_2"`` in this process.

    Attributes:
        version: flash-attn's version, "" where it is not installed.
        extension: ``real`` (guarded), ``reference``, or "" where flash-attn cannot be used.
        reason: why it cannot be used, or why the real extension is not.
    """

    version: str
    extension: Literal["real", "reference", ""]
    reason: str = ""

    @property
    def usable(self) -> bool:
        """Whether models can be built with flash-attn."""
        return bool(self.extension)


@functools.cache
def install(device: str = "cuda") -> Installed:
    """Make flash-attn run in this process, and tell how.

    Called once, before anything of transformers that asks whether flash-attn is there is imported.
    Opens no device.

    Args:
        device: a torch device string, where models will be. On ``cpu`` a real extension cannot
            run, so that the reference is used beside one.

    Returns:
        What is in place. Where flash-attn cannot be used, nothing has been replaced.

    Raises:
        RuntimeError: a modeling module of transformers was imported before.
    """
    if importlib.util.find_spec("flash_attn") is None:
        return Installed("", "", "flash-attn is not installed")
    try:
        version = importlib.metadata.version("flash-attn")
    except importlib.metadata.PackageNotFoundError:
        return Installed("", "", "the package flash_attn does not belong to flash-attn 2")
    if "transformers.modeling_utils" in sys.modules:
        raise RuntimeError(
            "flash-attn has to be installed before transformers' models are imported"
        )
    reason = "the device is cpu"
    if not device.startswith("cpu"):
        try:
            real = importlib.import_module(extension.NAME)
        except ImportError as error:
            reason = f"{extension.NAME} cannot be imported: {error}"
        else:
            if missing := _missing():
                return Installed(version, "", missing)
            for name in FUNCTIONS:
                setattr(real, name, guard(name, shadowed(name, getattr(real, name), always=True)))
            return Installed(version, "real")
    before = {name: sys.modules.get(name) for name in (extension.NAME, rotary.NAME)}
    sys.modules[extension.NAME] = _guarded_reference()
    sys.modules[rotary.NAME] = rotary.reference()
    if missing := _missing():
        for name, module in before.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
        return Installed(version, "", missing)
    _register_operators()
    _say_available()
    _allow_any_placement()
    return Installed(version, "reference", reason)


def _guarded_reference() -> Any:
    module = extension.reference()
    for name in FUNCTIONS:
        function = shadowed(name, getattr(module, name), always=False)
        setattr(module, name, guard(name, function, wide=True))
    return module


def _missing() -> str:
    """Return why flash-attn's own Python cannot be used with the extension, "" when it can."""
    try:
        interface: Any = importlib.import_module("flash_attn.flash_attn_interface")
        importlib.import_module("flash_attn.bert_padding")
    except ImportError as error:
        return f"flash-attn cannot be imported: {error}"
    if interface.flash_attn_gpu is not sys.modules[extension.NAME]:
        return f"flash-attn runs on {interface.flash_attn_gpu.__name__}, not on {extension.NAME}"
    return ""


def _register_operators() -> None:
    interface: Any = importlib.import_module("flash_attn.flash_attn_interface")
    for name in OPERATORS:
        operator = getattr(interface, name)
        # Before torch 2.4 they are plain functions, which run anywhere.
        if hasattr(operator, "register_kernel"):
            operator.register_kernel("cpu")(operator._init_fn)


def _say_available() -> None:
    utils: Any = importlib.import_module("transformers.utils.import_utils")
    importlib.import_module("transformers.utils")
    asked = getattr(utils, _AVAILABLE)
    # 5.4 to 5.5 look here, without asking whether it is there, for the package that flash_attn
    # belongs to; where it is not on the path yet when that is read, no model can be built.
    owners = getattr(utils, "PACKAGE_DISTRIBUTION_MAPPING", None)
    if isinstance(owners, dict):
        owners.setdefault("flash_attn", ["flash-attn"])

    # Cached as theirs is, so that whoever clears the answer still can.
    @functools.cache
    @functools.wraps(asked)
    def available(*_args: object, **_kwargs: object) -> bool:
        return True

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "transformers" and vars(module).get(_AVAILABLE) is asked:
            setattr(module, _AVAILABLE, available)


def _allow_any_placement() -> None:
    models: Any = importlib.import_module("transformers.modeling_utils")
    model: Any = models.PreTrainedModel
    for name in _PLACEMENT:
        method = vars(model).get(name)
        if isinstance(method, classmethod):
            setattr(model, name, classmethod(_anywhere(method.__func__)))
        elif method is not None:
            setattr(model, name, _anywhere(method))


def _anywhere(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a check of transformers without its test of where the model is."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def check(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        owner = next(iter(bound.arguments.values()))
        if "check_device_map" in signature.parameters:
            bound.arguments["check_device_map"] = False
        # This also skips a refusal of BetterTransformer, which must stand.
        elif not getattr(owner, "use_bettertransformer", False):
            bound.arguments["is_init_check"] = True
        return method(*bound.args, **bound.kwargs)

    return check
