"""A checkpoint directory is built with few layers, of every kind that it has."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from fuzz.families import FAMILIES
from fuzz.target import Target
from fuzz.worker.errors import WorkerSetupError
from fuzz.worker.slim import slim


def test_one_layer_of_every_kind_is_kept_in_their_order():
    kinds = ["linear", "linear", "linear", "full"] * 2
    settings: dict[str, Any] = {"num_hidden_layers": 8, "layer_types": kinds}
    slim(settings)
    assert settings == {"num_hidden_layers": 2, "layer_types": ["linear", "full"]}


def test_dense_and_expert_layers_are_both_kept():
    settings: dict[str, Any] = {"num_hidden_layers": 61, "first_k_dense_replace": 3}
    slim(settings)
    assert settings == {"num_hidden_layers": 2, "first_k_dense_replace": 1}


def test_layers_of_one_kind_are_two():
    settings: dict[str, Any] = {"num_hidden_layers": 28, "vision_config": {"depth": 32}}
    slim(settings)
    assert settings == {"num_hidden_layers": 2, "vision_config": {"depth": 2}}


def test_a_single_layer_stays_one():
    settings: dict[str, Any] = {"num_hidden_layers": 1}
    slim(settings)
    assert settings == {"num_hidden_layers": 1}


def test_full_blocks_among_windows_are_kept():
    vision = {"depth": 32, "fullatt_block_indexes": [7, 15, 23, 31]}
    slim({"vision_config": vision})
    assert vision == {"depth": 2, "fullatt_block_indexes": [1]}


def test_every_deepstack_layer_is_kept_with_a_text_layer_beyond():
    vision = {"depth": 27, "deepstack_visual_indexes": [8, 16, 24]}
    text = {"num_hidden_layers": 36}
    slim({"vision_config": vision, "text_config": text})
    assert vision == {"depth": 4, "deepstack_visual_indexes": [1, 2, 3]}
    assert text == {"num_hidden_layers": 4}


@pytest.mark.parametrize(
    ("name", "deep", "kept"),
    [
        ("qwen2_5_vl", {"depth": 9, "fullatt_block_indexes": [4, 8]}, [1]),
        ("qwen3_vl", {"depth": 9, "deepstack_visual_indexes": [3, 6]}, [1, 2]),
    ],
)
def test_what_save_pretrained_wrote_is_built_slim(
    name: str, deep: dict[str, Any], kept: list[int], tmp_path: Path
):
    from transformers import AutoConfig

    from fuzz.worker import release
    from fuzz.worker.subject import make_subject, model_of

    family = FAMILIES[name]
    settings = copy.deepcopy(dict(family.config))
    settings["vision_config"].update(deep)
    settings.get("text_config", settings)["num_hidden_layers"] = 7
    AutoConfig.for_model(name, **settings).save_pretrained(tmp_path)
    subject = make_subject(Target(family=name, model=str(tmp_path)), lambda _: None)
    vision = release.vision_config(subject.config)
    blocks = len(kept) + 1
    assert vision.to_dict()[list(deep)[1]] == kept
    layers = release.text_config(subject.config).num_hidden_layers
    assert (vision.depth, layers) == (blocks, max(2, blocks))
    ours = [n for n, _ in model_of(subject).named_parameters()]
    assert sum(n.endswith("blocks.0.attn.qkv.weight") for n in ours) == 1
    assert any(f"blocks.{blocks - 1}." in n for n in ours)
    assert not any(f"blocks.{blocks}." in n for n in ours)
    assert any(f"layers.{layers - 1}." in n for n in ours)
    assert not any(f"layers.{layers}." in n for n in ours)


def test_a_directory_that_is_gone_is_named(tmp_path: Path):
    from fuzz.worker.subject import make_subject

    gone = tmp_path / "gone"
    with pytest.raises(WorkerSetupError, match=re.escape(f"{gone}: no such model directory")):
        make_subject(Target(model=str(gone)), lambda _: None)
