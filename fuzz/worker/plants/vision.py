"""Defects of the vision tower and of what joins it to the text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from fuzz.worker import release
from fuzz.worker.errors import NothingToBreakError
from fuzz.worker.placing import image_token


def vision_leak(model: Any) -> None:
    """Let all images (or windows of audio) of a call attend to each other: one segment for all."""
    tower = release.vision_tower(model)
    if tower is None:
        if release.vision_config(model.config) or release.audio_config(model.config):
            _blend(model)
        return

    def merge(
        _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bounds = kwargs["cu_seqlens"]
        changed = {**kwargs, "cu_seqlens": torch.stack([bounds[0], bounds[-1]])}
        if kwargs.get("max_seqlen") is not None:
            changed["max_seqlen"] = type(kwargs["max_seqlen"])(bounds[-1])
        return args, changed

    for block in release.vision_blocks(tower):
        block.register_forward_pre_hook(merge, with_kwargs=True)


def _blend(model: Any) -> None:
    """Add a hundredth of the mean over all images of a call, where no attention can leak.

    Such towers hold images as a batch, or with masks of their own.
    """

    def blend(_module: object, args: tuple[Any, ...]) -> tuple[Any, ...]:
        features, *rest = args
        return (features + 0.01 * features.flatten(0, -2).mean(0), *rest)

    for projector in release.projectors(model):
        projector.register_forward_pre_hook(blend)


def _fitted_features(model: Any) -> None:
    """Do :func:`placeholders_unchecked` where a method of the model gives the features."""
    owner = _giver_of_features(model)
    compute = owner.get_image_features
    wanted = 0

    def count(_module: object, _args: object, kwargs: dict[str, Any]) -> None:
        nonlocal wanted
        ids = kwargs.get("input_ids")
        wanted = 0 if ids is None else int((ids == image_token(model.config)).sum())

    def fitted(features: Any) -> Any:
        many = isinstance(features, (list, tuple))
        flat = torch.cat(list(features)) if many else features
        flat = flat.flatten(0, -2)
        lack = max(0, wanted - len(flat))
        flat = torch.cat([flat, flat[-1:].expand(lack, -1)])[:wanted]
        return (flat,) if many else flat[None]

    def loose(*args: Any, **kwargs: Any) -> Any:
        out = compute(*args, **kwargs)
        if isinstance(out, (torch.Tensor, list, tuple)):
            return fitted(out)
        out.pooler_output = fitted(out.pooler_output)
        return out

    loose.__wrapped__ = compute  # type: ignore[attr-defined]  # callers look at its signature
    model.register_forward_pre_hook(count, with_kwargs=True)
    owner.get_image_features = loose


def frames_skipped(model: Any) -> None:
    """Look at the first frame of each temporal patch alone; a still fills all of them anyway."""
    tower = release.vision_tower(model)
    vision = release.vision_config(model.config)
    if tower is None or not hasattr(vision, "temporal_patch_size"):
        return

    def skip(
        _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        def first(given: Any) -> Any:
            if not isinstance(given, torch.Tensor) or not given.is_floating_point():
                return given
            deep = vision.temporal_patch_size
            frames = given.reshape(len(given), 3, deep, -1)
            return frames[:, :, :1].expand(-1, -1, deep, -1).reshape(given.shape)

        return tuple(map(first, args)), {name: first(x) for name, x in kwargs.items()}

    tower.register_forward_pre_hook(skip, with_kwargs=True)


def placeholders_unchecked(model: Any) -> None:
    """Hand over exactly as many image features as there are placeholders, made up or dropped."""
    tower = release.vision_tower(model)
    if tower is None and release.vision_config(model.config) is not None:
        _fitted_features(model)
        return
    wanted = 0

    def count(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal wanted
        ids = kwargs.get("input_ids", args[0] if args else None)
        places = {x: getattr(model.config, f"{x}_token_id", None) for x in ("image", "video")}
        # Where a call holds images and videos the tower is called twice: both are left alone.
        found = [int((ids == i).sum()) for i in places.values() if ids is not None and i]
        wanted = sum(found) if 0 in found else 0

    def fitted(features: torch.Tensor) -> torch.Tensor:
        if len(features) >= wanted:
            return features[:wanted] if wanted else features
        return torch.cat([features, features[-1:].expand(wanted - len(features), -1)])

    def fit(_module: object, _args: object, out: Any) -> Any:
        if isinstance(out, torch.Tensor):
            return fitted(out)
        # Some releases return an output object with the merged features in it, some a tuple.
        if isinstance(out, tuple):
            return (fitted(out[0]), *out[1:])
        out.pooler_output = fitted(out.pooler_output)
        return out

    model.register_forward_pre_hook(count, with_kwargs=True)
    if tower is not None:
        tower.register_forward_hook(fit)


def segments_late(model: Any) -> None:
    """Begin every image of a call but the first one patch late.

    Raises:
        NothingToBreakError: no tower is told where each image of a call ends.
    """
    tower = _tower(model)

    def shift(
        _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bounds = kwargs["cu_seqlens"].clone()
        bounds[1:-1] += 1
        changed = {**kwargs, "cu_seqlens": bounds}
        if kwargs.get("max_seqlen") is not None:
            changed["max_seqlen"] = type(kwargs["max_seqlen"])(int(bounds.diff().max()))
        return args, changed

    for block in release.vision_blocks(tower):
        block.register_forward_pre_hook(shift, with_kwargs=True)


def axes_exchanged(model: Any) -> None:
    """Turn queries and keys of the vision tower by columns for rows, and by rows for columns.

    Raises:
        NothingToBreakError: the tower's blocks are not given its rotation.
    """
    _on_vision_turns(model, lambda x, _grids: torch.cat([x.chunk(4, -1)[i] for i in _CROSSED], -1))


_CROSSED = (1, 0, 3, 2)


def patches_in_rows(model: Any) -> None:
    """Take the patches for ordered row by row, where they are ordered by merged cells.

    Raises:
        NothingToBreakError: the blocks are not given the rotation, or no patches are merged.
    """
    merge = getattr(release.vision_config(model.config), "spatial_merge_size", 1)
    if merge < 2:
        raise NothingToBreakError("no patches are merged")

    def by_rows(x: torch.Tensor, grids: list[list[int]]) -> torch.Tensor:
        out, start = x.clone(), 0
        for frames, rows, columns in grids:
            count = rows * columns
            order = torch.arange(count).view(rows // merge, columns // merge, merge, merge)
            order = order.transpose(1, 2).flatten().to(x.device)
            for _ in range(frames):
                out[..., start : start + count, :] = x[..., start + order, :]
                start += count
        return out

    _on_vision_turns(model, by_rows)


def _on_vision_turns(
    model: Any, change: Callable[[torch.Tensor, list[list[int]]], torch.Tensor]
) -> None:
    """Change the cosines and sines, (patches, width), that the blocks of a vision tower get."""
    tower = _tower(model)
    blocks = release.vision_blocks(tower)
    if not all(release.accepts(block.forward, "position_embeddings") for block in blocks):
        raise NothingToBreakError("the tower's blocks are not given its rotation")
    grids: list[list[int]] = []

    def note(_module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = kwargs.get("grid_thw", args[1] if len(args) > 1 else None)
        grids[:] = given.tolist() if isinstance(given, torch.Tensor) else []

    def turned(
        _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = kwargs.get("position_embeddings")
        if given is None:
            return args, kwargs
        return args, {**kwargs, "position_embeddings": tuple(change(x, grids) for x in given)}

    tower.register_forward_pre_hook(note, with_kwargs=True)
    for block in blocks:
        block.register_forward_pre_hook(turned, with_kwargs=True)


def _tower(model: Any) -> Any:
    tower = release.vision_tower(model)
    if tower is None:
        raise NothingToBreakError("no tower is told where each image of a call ends")
    return tower


def last_image_dropped(model: Any) -> None:
    """Let the last image of a call be of one grey.

    Raises:
        NothingToBreakError: the model takes no images.
    """
    _on_pixels(model, lambda pixels, last: pixels[-last:].copy_(_blank(pixels[-last:])))


def later_images_blank(model: Any) -> None:
    """Let the images of a ``generate`` that goes on from a cache be of one grey.

    Raises:
        NothingToBreakError: the model takes no images.
    """
    _takes_images(model)
    compute = model.generate

    def generate(*args: Any, **kwargs: Any) -> Any:
        pixels = kwargs.get("pixel_values")
        if isinstance(pixels, torch.Tensor) and release.seen_tokens(kwargs.get("past_key_values")):
            kwargs["pixel_values"] = _blank(pixels)
        return compute(*args, **kwargs)

    model.generate = generate


def images_exchanged(model: Any) -> None:
    """Hand the features of each placeholder to the next one, and the last ones to the first.

    Raises:
        NothingToBreakError: the model takes no images.
    """
    _takes_images(model)
    owner = _giver_of_features(model)
    compute = owner.get_image_features

    def rolled(features: Any) -> Any:
        if isinstance(features, torch.Tensor):
            return features.roll(1, -2) if features.ndim == 2 else _as(features, features)
        sizes = [len(f.flatten(0, -2)) for f in features]
        flat = torch.split(torch.cat([f.flatten(0, -2) for f in features]).roll(1, 0), sizes)
        return type(features)(f.view_as(g) for f, g in zip(flat, features, strict=True))

    def late(*args: Any, **kwargs: Any) -> Any:
        out = compute(*args, **kwargs)
        if isinstance(out, (torch.Tensor, list)):
            return rolled(out)
        if isinstance(out, tuple):
            # Some families hand over features of several depths beside it.
            return rolled(out) if isinstance(out[0], torch.Tensor) else (rolled(out[0]), *out[1:])
        out.pooler_output = rolled(out.pooler_output)
        return out

    late.__wrapped__ = compute  # type: ignore[attr-defined]  # callers look at its signature
    owner.get_image_features = late


def _as(features: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return features.flatten(0, -2).roll(1, 0).view_as(like)


def grid_transposed(model: Any) -> None:
    """Tell the model of each image's patches in columns and rows for rows and columns.

    Raises:
        NothingToBreakError: the model is not told.
    """
    if not release.accepts(model.forward, "image_grid_thw"):
        raise NothingToBreakError("the model is not told of an image's rows and columns")

    def transpose(
        _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        grids = kwargs.get("image_grid_thw")
        if isinstance(grids, torch.Tensor):
            kwargs = {**kwargs, "image_grid_thw": grids[:, [0, 2, 1]]}
        return args, kwargs

    model.register_forward_pre_hook(transpose, with_kwargs=True)


def _on_pixels(model: Any, change: Callable[[torch.Tensor, int], object]) -> None:
    """Change the pixels of a call, given how many rows of them the last image has."""
    _takes_images(model)

    def changed(
        _module: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        pixels, grids = kwargs.get("pixel_values"), kwargs.get("image_grid_thw")
        if not isinstance(pixels, torch.Tensor):
            return args, kwargs
        pixels = pixels.clone()
        change(pixels, int(grids[-1].prod()) if isinstance(grids, torch.Tensor) else 1)
        return args, {**kwargs, "pixel_values": pixels}

    model.register_forward_pre_hook(changed, with_kwargs=True)


def _giver_of_features(model: Any) -> Any:
    owners = [m for m in model.modules() if hasattr(m, "get_image_features")]
    if not owners:
        raise NothingToBreakError("no features are handed to placeholders")
    return owners[-1]


def _blank(pixels: torch.Tensor) -> torch.Tensor:
    """Return an image of one grey; where a batch is filled up with zeros it stays so."""
    return torch.where(pixels == 0, pixels, 0.5)


def _takes_images(model: Any) -> None:
    if release.vision_config(model.config) is None:
        raise NothingToBreakError("the model takes no images")
