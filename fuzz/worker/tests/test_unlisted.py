"""A model type without a file of data: read off its directory, or refused in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

from fuzz.families import FAMILIES
from fuzz.target import Target
from fuzz.verdict import Outcome
from fuzz.worker.errors import WorkerSetupError
from fuzz.worker.tests import directories
from fuzz.worker.unlisted import family_for
from strategies.case import Case, Text

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject

SIZES: Final = {**directories.TEXT, "num_hidden_layers": 4}
SLIDING: Final = {
    "sliding_window": 8,
    "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
}
LATENT: Final = {
    "head_dim": 16,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 16,
    "v_head_dim": 32,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 2,
    "num_key_value_heads": 2,
}
MODELS: Final[dict[str, dict[str, Any]]] = {
    "cohere": {},
    "granite": {},
    "exaone4": SLIDING,
    "deepseek_v2": LATENT,
}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return directories of a config by its model type."""

    def make(model_type: str, **settings: Any) -> str:
        folder = tmp_path_factory.getbasetemp() / f"unlisted-{model_type}"
        folder.mkdir(exist_ok=True)
        config = {"model_type": model_type, **SIZES, **MODELS.get(model_type, {}), **settings}
        (folder / "config.json").write_text(json.dumps(config))
        return str(folder)

    return make


def said_of(folder: str, model_type: str) -> str:
    with pytest.raises(WorkerSetupError) as caught:
        family_for(Target(family=model_type, model=folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_listed_family_is_its_data():
    assert family_for(Target(family="llama", model="/gone")) is FAMILIES["llama"]


def test_the_class_is_the_one_that_transformers_has_for_the_type(folder_of: Callable[..., str]):
    assert "cohere" not in FAMILIES
    family = family_for(Target(family="cohere", model=folder_of("cohere")))
    assert (family.name, family.kind) == ("cohere", "cohere")
    assert family.architecture == "CohereForCausalLM"


def test_a_type_of_its_own_over_a_class_of_transformers_is_built_as_that(
    folder_of: Callable[..., str],
):
    """Kimi-K2's config is one."""
    folder = folder_of("kimi_k2", architectures=["DeepseekV3ForCausalLM"])
    family = family_for(Target(family="kimi_k2", model=folder))
    assert (family.name, family.kind) == ("kimi_k2", "deepseek_v3")
    assert family.architecture == "DeepseekV3ForCausalLM"


def test_what_the_release_does_not_have_is_said_with_its_number(folder_of: Callable[..., str]):
    import transformers

    release = f"transformers {transformers.__version__}"
    for architectures in ([], ["Qwen9ForCausalLM"], None):
        folder = folder_of("qwen9", architectures=architectures)
        said = f"{folder}/config.json: {release} knows no model_type 'qwen9'"
        assert said_of(folder, "qwen9") == said
    folder = folder_of("vit")
    said = f"{folder}/config.json: {release} has no model that continues text for model_type 'vit'"
    assert said_of(folder, "vit") == said


def test_without_a_directory_nothing_is_known():
    assert said_of("", "cohere") == "family cohere has no data of its own; it needs --model DIR"
    assert said_of("/gone", "cohere") == "/gone: no such model directory"


def test_a_model_without_rotary_embedding_is_refused(
    folder_of: Callable[..., str], subject_of: Callable[..., Subject]
):
    said = "GPT2LMHeadModel (gpt2) has no rotary embedding where ropefuzz would look for it"
    with pytest.raises(WorkerSetupError, match=re.escape(said)):
        subject_of(family="gpt2", model=folder_of("gpt2"))


@pytest.mark.parametrize(
    ("name", "pairs", "lacking"),
    [
        ("cohere", "neighbours", {}),
        ("granite", "halves", {}),
        ("exaone4", "halves", {}),
        ("deepseek_v2", "halves", {"rotary_reference": "no rotation was seen where ropefuzz "}),
    ],
)
def test_what_turns_together_is_measured_and_what_is_not_decided_has_a_reason(
    name: str,
    pairs: str,
    lacking: dict[str, str],
    folder_of: Callable[..., str],
    subject_of: Callable[..., Subject],
):
    subject = subject_of(family=name, model=folder_of(name))
    if name in FAMILIES:
        pytest.skip(f"{name} has a file of data by now")
    assert subject.family.pairs == pairs
    got = subject.family.not_applicable
    assert set(got) == set(lacking)
    for property_id, said in lacking.items():
        assert got[property_id].startswith(said)
    assert not subject.family.not_relative


def test_text_is_drawn_beside_special_ids_wherever_they_are(
    folder_of: Callable[..., str], subject_of: Callable[..., Subject]
):
    from fuzz.worker.subject import text_ids

    subject = subject_of(family="granite", model=folder_of("granite"))
    assert text_ids(subject.config) == range(3, 160)


def test_images_are_not_drawn_where_nothing_says_how_they_become_tokens(
    folder_of: Callable[..., str], subject_of: Callable[..., Subject], judge: Callable[..., Outcome]
):
    """Text still runs through the model, and one line says what is left out."""
    from fuzz.worker.geometry import geometry_of
    from fuzz.worker.look import looked_at

    sizes = {"image_size": 28, "patch_size": 14, "num_hidden_layers": 4}
    tower = {"model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 48}
    folder = folder_of(
        "aya_vision",
        text_config={"model_type": "cohere2", **SIZES, **SLIDING},
        vision_config={**tower, "num_attention_heads": 2, **sizes},
        image_token_index=155,
    )
    subject = subject_of(family="aya_vision", model=folder)
    assert not geometry_of(subject).images
    (said,) = [line for line in looked_at(subject)[1] if line.startswith("text only: ")]
    assert said.startswith("text only: their processor cannot be loaded: ")
    case = Case(rows=((Text(9),),), chunks=(4,))
    for property_id in ("cache_agreement", "rotary_reference"):
        assert judge(property_id, case, family="aya_vision", model=folder).verdict == "pass"


@pytest.mark.parametrize(
    ("property_id", "plant", "case"),
    [
        ("causality", "causal-off-by-one", Case(rows=((Text(9),),))),
        ("rotary_reference", "positions-restart", Case(rows=((Text(9),),), chunks=(4,))),
        ("cache_agreement", "positions-restart", Case(rows=((Text(9),),), chunks=(4,))),
    ],
)
@pytest.mark.parametrize("name", ["cohere", "granite"])
def test_defects_are_killed_in_it(
    name: str,
    property_id: str,
    plant: str,
    case: Case,
    folder_of: Callable[..., str],
    judge: Callable[..., Outcome],
):
    folder = folder_of(name)
    assert judge(property_id, case, family=name, model=folder).verdict == "pass"
    assert judge(property_id, case, plant, family=name, model=folder).failed


def test_a_wrong_angle_is_not_taken_for_another_kind_of_pairs(
    folder_of: Callable[..., str],
    subject_of: Callable[..., Subject],
    monkeypatch: pytest.MonkeyPatch,
):
    """What is measured is which elements turn together; by how much is held to the rule."""
    from transformers.models.granite import modeling_granite

    from fuzz.worker import serve
    from fuzz.worker.look import looked_at

    subject = subject_of(family="granite", model=folder_of("granite"))
    turn = modeling_granite.apply_rotary_pos_emb
    monkeypatch.setattr(
        modeling_granite, "apply_rotary_pos_emb", lambda q, k, cos, sin: turn(q, k, cos, -sin)
    )
    family, _ = looked_at(subject)
    assert (family.pairs, dict(family.not_applicable)) == ("halves", {})
    assert serve.judge("rotary_reference", Case(rows=((Text(5),),))).failed
