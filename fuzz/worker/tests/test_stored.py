"""Real weights: of the layers that are kept, under their names; what does not fit is one line."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fuzz.families import FAMILIES
from fuzz.target import REAL, Target
from fuzz.worker.errors import WorkerSetupError
from fuzz.worker.slim import Kept, new_names, old_name

LAYERS = 5


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of directories as ``save_pretrained`` writes them, with random weights."""

    def make(family: str = "llama", shard: str = "", **settings: Any) -> Path:
        import torch
        import transformers
        from transformers import AutoConfig

        config = copy.deepcopy(dict(FAMILIES[family].config))
        config.get("text_config", config).update({"num_hidden_layers": LAYERS, **settings})
        if vision := config.get("vision_config"):
            vision["depth" if "depth" in vision else "num_hidden_layers"] = LAYERS - 1
        torch.manual_seed(0)
        cls = getattr(transformers, FAMILIES[family].architecture)
        model = cls._from_config(AutoConfig.for_model(family, **config))
        folder = tmp_path / family
        model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
        return folder

    return make


def model_in(folder: Path, family: str = "llama", **options: Any) -> Any:
    from fuzz.worker.subject import make_subject, model_of

    target = Target(family=family, model=str(folder), weights=REAL)
    return model_of(make_subject(target, lambda _: None), **options)


def whole(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    tensors: dict[str, Any] = {}
    for file in folder.glob("*.safetensors"):
        tensors |= load_file(file)
    return tensors


def refused(folder: Path, said: str, family: str = "llama") -> None:
    with pytest.raises(WorkerSetupError, match=re.escape(said)) as caught:
        model_in(folder, family)
    assert "\n" not in str(caught.value)


def change(file: Path, **tensors: Any) -> None:
    """Write a file again with other tensors; None takes one out."""
    from safetensors.torch import load_file, save_file

    held = {**load_file(file), **{n.replace("__", "."): x for n, x in tensors.items()}}
    save_file({n: x for n, x in held.items() if x is not None}, file)


@pytest.mark.parametrize("shard", ["", "300KB"])
def test_a_slim_model_has_the_real_weights_of_the_layers_that_are_kept(
    saved: Callable[..., Path], shard: str
):
    import torch

    folder = saved(shard=shard)
    assert (folder / "model.safetensors").exists() == (not shard)
    stored = whole(folder)
    model = model_in(folder)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float64
        assert torch.equal(parameter, stored[name].double()), name
    # Two of five layers, the embeddings, the last norm and the head.
    layer = sum(name.startswith("model.layers.0.") for name in stored)
    assert len(list(model.named_parameters())) == 2 * layer + 3


def test_layers_of_another_kind_come_with_their_own_old_numbers(saved: Callable[..., Path]):
    """Of layers 0 to 4 the first sliding one and the first full one are 0 and 3."""
    import torch

    kinds = ["sliding_attention"] * 3 + ["full_attention"] * 2
    folder = saved("qwen2", layer_types=kinds, use_sliding_window=True, sliding_window=16)
    stored = whole(folder)
    model = model_in(folder, "qwen2")
    assert model.config.layer_types == ["sliding_attention", "full_attention"]
    for new, old in enumerate((0, 3)):
        got = model.model.layers[new].self_attn.q_proj.weight
        assert torch.equal(got, stored[f"model.layers.{old}.self_attn.q_proj.weight"].double())


@pytest.mark.parametrize("family", ["qwen2_vl", "llava"])
def test_vision_towers_have_their_real_weights_too(saved: Callable[..., Path], family: str):
    """The layers of a tower are numbered apart from those of the text model."""
    folder = saved(family)
    stored = {x.double().sum().item() for x in whole(folder).values()}
    model = model_in(folder, family)
    for name, parameter in model.named_parameters():
        assert parameter.sum().item() in stored, name
    assert any("vis" in name for name, _ in model.named_parameters())


def test_a_gain_multiplies_the_real_matrices(saved: Callable[..., Path]):
    import torch

    folder = saved()
    stored = whole(folder)
    model = model_in(folder, gain=3.0)
    name = "model.layers.1.mlp.up_proj.weight"
    assert torch.equal(model.get_parameter(name), stored[name].double() * 3.0)
    for name in ("model.norm.weight", "model.embed_tokens.weight"):
        assert torch.equal(model.get_parameter(name), stored[name].double())


def test_files_of_dropped_layers_are_not_opened(saved: Callable[..., Path]):
    """One of them is gone, and one holds something else altogether."""
    folder = saved(shard="300KB")
    places = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    kept = set(new_names(places, Kept((0, 1), (), LAYERS, 0)))
    needed = {places[name] for name in kept}
    unneeded = sorted(set(places.values()) - needed)
    assert len(unneeded) >= 2
    (folder / unneeded[0]).unlink()
    (folder / unneeded[1]).write_bytes(b"no tensors")
    model_in(folder)
    gone = folder / sorted(needed)[0]
    gone.unlink()
    refused(folder, f"{gone}: no such file")
    gone.write_bytes(b"no tensors")
    refused(folder, f"{gone}: not a safetensors file")


@pytest.mark.parametrize("keep", [4, 20, -1])
def test_a_truncated_file_is_named(saved: Callable[..., Path], keep: int):
    folder = saved()
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    refused(folder, f"{file}: {'not a safetensors file' if keep == 4 else 'truncated: '}")


def test_what_does_not_fit_is_named(saved: Callable[..., Path]):
    import torch

    folder = saved()
    file = folder / "model.safetensors"
    before = file.read_bytes()
    change(file, model__norm__weight=None)
    refused(folder, f"{folder}: LlamaForCausalLM needs model.norm.weight, which the weights lack")
    file.write_bytes(before)
    change(file, model__norm__weight=torch.zeros(7))
    refused(folder, f"{folder}: model.norm.weight has shape (7,), expected (128,)")
    change(file, model__norm__weight=torch.zeros(128, dtype=torch.int8))
    refused(folder, f"{file}: model.norm.weight is of dtype I8, expected one of F64, F32, F16,")
    change(file, model__norm__weight=torch.zeros(128, dtype=torch.float8_e4m3fn))
    refused(folder, f"{file}: model.norm.weight is of dtype F8_E4M3, expected one of F64, F32,")


def test_layers_get_new_numbers_and_their_old_ones_back():
    kept = Kept(text=(0, 3), vision=(1, 4), text_depth=5, vision_depth=6)
    text = [f"model.layers.{i}.x.weight" for i in range(5)]
    vision = [f"visual.blocks.{i}.layers.0.y" for i in range(6)]
    # One head beyond the layers, and a tower that the slim config knows nothing of.
    others = ["mtp.layers.0.x", "audio_tower.layers.4.x", "lm_head.weight"]
    new = new_names([*text, *vision, *others], kept)
    assert new == {
        "model.layers.0.x.weight": "model.layers.0.x.weight",
        "model.layers.3.x.weight": "model.layers.1.x.weight",
        "visual.blocks.1.layers.0.y": "visual.blocks.0.layers.0.y",
        "visual.blocks.4.layers.0.y": "visual.blocks.1.layers.0.y",
        **{name: name for name in others},
    }
    for old, name in new.items():
        if name not in others:
            assert old_name(name, kept) == old
