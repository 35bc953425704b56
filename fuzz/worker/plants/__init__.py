"""Puts planted defects (:mod:`fuzz.plants`) into a freshly built model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from fuzz.faults import PREFIX
from fuzz.worker.plants import attention, beams, kernel, positions, process, vision

PLANTERS: Final[dict[str, Callable[[Any], None]]] = {
    "rotary-table-short": positions.rotary_table_short,
    "rotary-table-short-flash": positions.rotary_table_short_flash,
    "positions-restart": positions.positions_restart,
    "mrope-axes-swapped": positions.mrope_axes_swapped,
    "stale-rope-deltas": positions.stale_rope_deltas,
    "padding-leak": attention.padding_leak,
    "causal-off-by-one": attention.causal_off_by_one,
    "batch-crosstalk": attention.batch_crosstalk,
    "first-key-hidden": attention.first_key_hidden,
    "image-hidden-from-text": attention.image_hidden_from_text,
    "eager-scale": attention.eager_scale,
    "packing-ignored": attention.packing_ignored,
    "half-mask-too-small": attention.half_mask_too_small,
    "eager-gradient": attention.eager_gradient,
    "beams-not-reordered": beams.not_reordered,
    "vision-leak": vision.vision_leak,
    "placeholders-unchecked": vision.placeholders_unchecked,
    "flash-last-key-ignored": kernel.in_kernel(kernel.last_key_ignored),
    "flash-causal-top-left": kernel.in_kernel(kernel.causal_top_left),
    "rotary-table-short-device": positions.rotary_table_short_device,
    "abort": process.on_one_row("abort"),
    "hang": process.hang,
    "exit": process.leave,
    "sticky-device-error": process.sticky_device_error,
    "on-demand": process.on_demand,
    **{f"{PREFIX}{name}": process.on_one_row(name) for name in process.DEEDS},
}


def planter(names: Sequence[str]) -> Callable[[Any], None]:
    """Return a function that puts the named defects into a model."""

    def plant(model: Any) -> None:
        for name in names:
            PLANTERS[name](model)

    return plant
