"""Puts planted defects (:mod:`fuzz.plants`) into a freshly built model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from fuzz.faults import PREFIX
from fuzz.worker.plants import (
    attention,
    beams,
    cache,
    kernel,
    positions,
    process,
    rotary,
    vision,
)

PLANTERS: Final[dict[str, Callable[[Any], None]]] = {
    "rotary-table-short": positions.rotary_table_short,
    "rotary-table-short-flash": positions.rotary_table_short_flash,
    "positions-restart": positions.positions_restart,
    "mrope-axes-swapped": positions.mrope_axes_swapped,
    "stale-rope-deltas": positions.stale_rope_deltas,
    "rope-deltas-lost": positions.deltas_lost,
    "text-after-images-late": positions.after_images_late,
    "cos-sin-exchanged": rotary.cos_sin_exchanged,
    "another-base": rotary.another_base,
    "sections-shifted": rotary.sections_shifted,
    "wrong-half": rotary.wrong_half,
    "positions-rounded": rotary.positions_rounded,
    "far-positions-wrap": rotary.far_positions_wrap,
    "lengthening-lost": rotary.lengthening_lost,
    "audio-frames-twice": rotary.audio_frames_twice,
    "cache-slot-overwritten": cache.slot_overwritten,
    "cache-rows-exchanged": cache.rows_exchanged,
    "guesses-kept": cache.guesses_kept,
    "window-too-wide": attention.window_too_wide,
    "padding-forgotten-later": attention.padding_forgotten_later,
    "packing-boundary-late": attention.packing_boundary_late,
    "video-times-lost": positions.video_times_lost,
    "frames-skipped": vision.frames_skipped,
    "padding-leak": attention.padding_leak,
    "causal-off-by-one": attention.causal_off_by_one,
    "batch-crosstalk": attention.batch_crosstalk,
    "first-key-hidden": attention.first_key_hidden,
    "image-hidden-from-text": attention.image_hidden_from_text,
    "eager-scale": attention.eager_scale,
    "experts-scale": attention.experts_scale,
    "packing-ignored": attention.packing_ignored,
    "half-mask-too-small": attention.half_mask_too_small,
    "eager-gradient": attention.eager_gradient,
    "beams-not-reordered": beams.not_reordered,
    "crop-forgotten": cache.crop_forgotten,
    "own-cache-last-key": cache.own_cache_last_key,
    "quantized-scale": cache.quantized_scale,
    "length-remembered": cache.length_remembered,
    "vision-leak": vision.vision_leak,
    "vision-segments-late": vision.segments_late,
    "vision-axes-exchanged": vision.axes_exchanged,
    "patches-in-rows": vision.patches_in_rows,
    "last-image-dropped": vision.last_image_dropped,
    "later-images-blank": vision.later_images_blank,
    "features-one-late": vision.images_exchanged,
    "grid-transposed": vision.grid_transposed,
    "placeholders-unchecked": vision.placeholders_unchecked,
    "flash-last-key-ignored": kernel.in_kernel(kernel.last_key_ignored),
    "flash-causal-top-left": kernel.in_kernel(kernel.causal_top_left),
    "flash-window-ignored": kernel.in_kernel(kernel.window_ignored),
    "flash-boundary-late": kernel.in_kernel(kernel.boundary_late),
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
