"""Quantized checkpoints: numbers worked out by hand, grids, what is left out, whole directories."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from fuzz.families import FAMILIES
from fuzz.target import REAL, Target
from fuzz.verdict import Outcome
from fuzz.worker.errors import WorkerSetupError
from strategies.case import Case, Image, Text

if TYPE_CHECKING:
    from fuzz.worker.quantized import Scheme

FP8: Final[dict[str, Any]] = {
    "quant_method": "fp8",
    "fmt": "e4m3",
    "activation_scheme": "dynamic",
    "weight_block_size": [128, 128],
    "modules_to_not_convert": ["lm_head", "visual", "model.layers.3.mlp.up_proj"],
}
# As Kimi-K2-Thinking has it.
INT4: Final[dict[str, Any]] = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {
                "num_bits": 4,
                "type": "int",
                "strategy": "group",
                "group_size": 32,
                "symmetric": True,
            },
        }
    },
    "ignore": ["lm_head", "re:.*self_attn.*", "re:.*mlp\\.(gate|up|gate_up|down)_proj.*"],
}


def scheme(**form: Any) -> Scheme:
    from fuzz.worker.quantized import Scheme

    return Scheme("x", **form)


def test_the_two_configs_are_read():
    from fuzz.worker.quantized import Scheme, scheme_of

    settings: dict[str, Any] = {"model_type": "x", "quantization_config": FP8}
    left_out = tuple(FP8["modules_to_not_convert"])
    assert scheme_of(settings) == Scheme("fp8", 8, True, (128, 128), left_out)
    assert settings == {"model_type": "x"}
    within: dict[str, Any] = {"text_config": {"quantization_config": INT4}}
    assert scheme_of(within) == Scheme(
        "compressed-tensors", 4, False, (1, 32), tuple(INT4["ignore"])
    )
    assert within == {"text_config": {}}
    assert scheme_of({"model_type": "x"}) is None
    for other in ({"quant_method": "awq"}, {"quant_method": "compressed-tensors"}):
        known = scheme_of({"quantization_config": other})
        assert known is not None
        assert known.bits == 0


def test_e4m3_is_dequantized_block_by_block():
    """Blocks of 2 x 2 on 3 x 3 numbers: those at the ends are smaller."""
    import torch

    from fuzz.worker.quantized import dequantized

    numbers = torch.tensor([[1.0, -2.0, 448.0], [0.5, 1.75, 3.0], [16.0, 18.0, -0.25]])
    scales = torch.tensor([[2.0, 0.5], [10.0, 4.0]])
    got = dequantized(
        {
            "a.weight": numbers.to(torch.float8_e4m3fn),
            "a.weight_scale_inv": scales,
            "b.weight": torch.ones(2, dtype=torch.bfloat16),
        },
        scheme(bits=8, floating=True, block=(2, 2)),
    )
    assert got["a.weight"].tolist() == [[2.0, -4.0, 224.0], [1.0, 3.5, 1.5], [160.0, 180.0, -1.0]]
    assert set(got) == {"a.weight", "b.weight"}


def test_int4_is_unpacked_lowest_first_and_scaled_by_group():
    """0x76543210 holds 0 to 7, each less 8: -8 to -1; 0xFEDCBA98 holds 0 to 7."""
    import torch

    from fuzz.worker.quantized import dequantized

    packed = torch.tensor([[0x76543210, 0xFEDCBA98 - 2**32]], dtype=torch.int32)
    got = dequantized(
        {
            "a.weight_packed": packed,
            "a.weight_scale": torch.tensor([[0.5, 2.0]], dtype=torch.bfloat16),
            "a.weight_shape": torch.tensor([1, 15]),
        },
        scheme(bits=4, block=(1, 8)),
    )
    low = [-4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5]
    # The last of 16 fills up the row and is none of its 15.
    assert got["a.weight"].tolist() == [[*low, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]]
    assert set(got) == {"a.weight"}


def test_random_weights_are_rounded_to_the_same_grids():
    """Largest 448 and 7.5: the scale is 1, and what is between is rounded to even."""
    import torch

    from fuzz.worker.quantized import on_grid

    fp8 = scheme(bits=8, floating=True, block=(2, 2))
    weight = torch.tensor([[448.0, 17.0], [19.0, -17.5]], dtype=torch.float64)
    assert on_grid(weight, fp8).tolist() == [[448.0, 16.0], [20.0, -18.0]]
    int4 = scheme(bits=4, block=(1, 3))
    weight = torch.tensor([[7.5, 3.4, -7.5, 15.0, 1.1, -14.0]], dtype=torch.float64)
    assert on_grid(weight, int4).tolist() == [[7.0, 3.0, -8.0, 14.0, 2.0, -14.0]]
    for grid in (fp8, int4):
        drawn = torch.randn(5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        assert not torch.equal(on_grid(drawn, grid), drawn)
        assert not on_grid(torch.zeros(3, 3, dtype=torch.float64), grid).any()


@pytest.mark.parametrize(
    ("pattern", "name", "left_out"),
    [
        ("lm_head", "lm_head", True),
        ("visual", "model.visual.blocks.0.attn.qkv", True),
        ("model.layers.3.mlp", "model.language_model.layers.3.mlp.up_proj", True),
        ("model.layers.3.mlp", "model.layers.33.mlp.up_proj", False),
        ("up_proj", "model.layers.3.mlp.up_proj", True),
        ("re:.*self_attn.*", "model.layers.3.self_attn.q_proj", True),
        ("re:.*mlp\\.(gate|up)_proj.*", "model.layers.3.mlp.experts.gate_up_proj", False),
        ("re:layers", "model.layers.3.mlp.up_proj", True),
        ("", "lm_head", False),
    ],
)
def test_what_the_config_leaves_out_is_left_out(pattern: str, name: str, left_out: bool):
    from fuzz.worker.quantized import ignores

    assert ignores(scheme(bits=8, ignored=(pattern,)), name) is left_out


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return directories of a listed family's config with a quantization_config."""

    def make(name: str, quantization: dict[str, Any], **settings: Any) -> Path:
        folder = tmp_path_factory.mktemp(name)
        config = {"model_type": name, **FAMILIES[name].config, **settings}
        config["quantization_config"] = quantization
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return make


def subject_in(folder: Path, family: str, weights: str = "random") -> Any:
    from fuzz.worker.subject import make_subject

    return make_subject(Target(family=family, model=str(folder), weights=weights), lambda _: None)


def test_a_slim_model_has_the_grid_where_the_checkpoint_has_it(folder_of: Callable[..., Path]):
    """Of four layers 0 and 3 are kept, and the third's left out matrix is now the first's."""
    import torch

    from fuzz.worker.look import looked_at
    from fuzz.worker.quantized import on_grid
    from fuzz.worker.subject import model_of

    kinds = ["sliding_attention"] * 3 + ["full_attention"]
    settings = {"num_hidden_layers": 4, "layer_types": kinds, "use_sliding_window": True}
    folder = folder_of("qwen2", FP8, sliding_window=16, **settings)
    subject = subject_in(folder, "qwen2")
    grid = subject.checkpoint.scheme
    model = model_of(subject)
    matrices = {n: p for n, p in model.named_parameters() if "_proj.weight" in n}
    on = {n for n, p in matrices.items() if torch.equal(on_grid(p, grid), p)}
    assert set(matrices) - on == {"model.layers.1.mlp.up_proj.weight"}
    assert not torch.equal(on_grid(model.lm_head.weight, grid), model.lm_head.weight)
    _, (said,) = looked_at(subject)
    assert said == (
        "quantized (fp8: e4m3, one scale for 128 x 128): 13 matrices are put on the grid and "
        "computed with in exact; no kernel of fp8 has been run, and activations are not quantized"
    )


def test_experts_held_in_one_tensor_are_put_on_the_grid_too(folder_of: Callable[..., Path]):
    """GLM-4.6V's decoder; its tower is left out."""
    import torch

    from fuzz.worker.quantized import on_grid
    from fuzz.worker.subject import model_of

    subject = subject_in(folder_of("glm46v", FP8), "glm46v")
    for name, parameter in model_of(subject).named_parameters():
        if parameter.ndim < 2:
            continue
        same = torch.equal(on_grid(parameter, subject.checkpoint.scheme), parameter)
        if "experts.gate_up_proj" in name or "self_attn.q_proj.weight" in name:
            assert same, name
        elif "visual" in name and "proj.weight" in name:
            assert not same, name


@pytest.mark.parametrize(("name", "form"), [("glm46v", FP8), ("llama", INT4)])
def test_properties_hold_on_the_grid(
    name: str, form: dict[str, Any], folder_of: Callable[..., Path], judge: Callable[..., Outcome]
):
    folder = str(folder_of(name, form))
    row = (Text(2), Image(56, 56), Text(3)) if name == "glm46v" else (Text(9),)
    case = Case(rows=(row, (Text(4),)), decode=1)
    for property_id in ("rotary_reference", "cache_agreement", "padding_invariance"):
        assert judge(property_id, case, family=name, model=folder).verdict == "pass"


def test_real_quantized_weights_are_dequantized_as_they_are_loaded(
    folder_of: Callable[..., Path],
):
    """Written as fine-grained FP8: numbers of e4m3 and a scale for each block."""
    import torch
    from safetensors.torch import save_file

    from fuzz.worker.subject import model_of

    folder = folder_of("llama", {**FP8, "weight_block_size": [64, 64]}, num_hidden_layers=3)
    tensors: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    plain = model_of(subject_in(folder, "llama"))
    for name, parameter in plain.named_parameters():
        if "_proj.weight" not in name:
            tensors[name] = wanted[name] = parameter.detach().bfloat16()
            continue
        numbers = (parameter.detach() * 8).to(torch.float8_e4m3fn)
        rows, columns = (-(-n // 64) for n in parameter.shape)
        scale = torch.arange(1.0, rows * columns + 1).reshape(rows, columns)
        tensors[name] = numbers
        tensors[name.replace("weight", "weight_scale_inv")] = scale
        each = scale.repeat_interleave(64, 0).repeat_interleave(64, 1)
        wanted[name] = numbers.float() * each[: parameter.shape[0], : parameter.shape[1]]
    save_file(tensors, folder / "model.safetensors")
    model = model_of(subject_in(folder, "llama", REAL))
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, wanted[name].double()), name

    lost = "model.layers.0.mlp.up_proj.weight"
    del tensors[f"{lost}_scale_inv"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(WorkerSetupError, match=re.escape(f"{folder}: {lost} is quantized and has")):
        subject_in(folder, "llama", REAL)


def test_a_form_that_is_not_known_runs_with_random_weights_and_not_with_real_ones(
    folder_of: Callable[..., Path],
):
    import torch
    from safetensors.torch import save_file

    from fuzz.worker.look import looked_at

    folder = folder_of("llama", {"quant_method": "awq"})
    _, (said,) = looked_at(subject_in(folder, "llama"))
    assert said.startswith("awq in this form is not emulated: weights are as drawn; no kernel")
    save_file({"a": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(WorkerSetupError, match="weights quantized by awq in this form cannot"):
        subject_in(folder, "llama", REAL)
