"""Images of a model type without data: placed as its directory's processor places them, or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fuzz.verdict import Outcome
from fuzz.worker.tests import directories
from strategies.case import Case, Image, Text

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject

NAMES = ("aya_vision", "idefics2")
PAIR = Case(rows=((Text(3), Image(60, 40), Text(2), Image(25, 90)), (Image(40, 40), Text(4))))
PROPERTIES = (
    "no_crash",
    "attention_agreement",
    "padding_invariance",
    "batch_invariance",
    "causality",
    "image_independence",
    "packing_invariance",
    "visibility",
)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return the directory of a model type."""
    made: dict[str, str] = {}

    def get(name: str) -> str:
        if name not in made:
            folder = tmp_path_factory.mktemp("whole") / name
            made[name] = getattr(directories, name)(folder)
        return made[name]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_images_are_drawn_and_every_property_holds(
    name: str,
    folder_of: Callable[[str], str],
    subject_of: Callable[..., Subject],
    judge: Callable[..., Outcome],
):
    from fuzz.worker.geometry import geometry_of
    from fuzz.worker.inputs import make_prompt
    from strategies.geometry import estimated_tokens

    target = {"family": name, "model": folder_of(name)}
    subject = subject_of(**target)
    geometry = geometry_of(subject)
    assert geometry.images
    row = (Text(3), Image(64, 64))
    assert len(make_prompt(subject, row, 0).ids) <= 2 * estimated_tokens(geometry, row)
    for property_id in PROPERTIES:
        outcome = judge(property_id, PAIR, **target)
        assert (outcome.verdict, outcome.idle) == ("pass", False), f"{property_id}: {outcome}"
    fed = Case(rows=PAIR.rows, chunks=(5, 4), decode=2)
    assert judge("cache_agreement", fed, **target).verdict == "pass"
    turn = Case(rows=PAIR.rows[:1], entry="generate", decode=2, turn=2, turn_image=Image(30, 50))
    assert judge("generation_agreement", turn, **target).verdict == "pass"
    wrong = Case(rows=PAIR.rows, extra_placeholders=2)
    assert judge("clean_rejection", wrong, **target).verdict == "pass"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("property_id", "plant", "case"),
    [
        ("visibility", "last-image-dropped", Case(rows=((Image(28, 28), Text(2)),))),
        ("image_independence", "vision-leak", Case(rows=PAIR.rows[:1])),
        (
            "generation_agreement",
            "later-images-blank",
            Case(rows=((Text(2),),), entry="generate", decode=1, turn_image=Image(40, 40)),
        ),
    ],
)
def test_defects_of_its_images_are_killed(
    name: str,
    property_id: str,
    plant: str,
    case: Case,
    folder_of: Callable[[str], str],
    judge: Callable[..., Outcome],
):
    target = {"family": name, "model": folder_of(name)}
    assert judge(property_id, case, **target).verdict == "pass"
    outcome = judge(property_id, case, plant, **target)
    assert outcome.failed
    assert outcome.signature is not None
    assert outcome.signature.property == property_id


def test_images_are_not_drawn_where_ours_are_joined_in_another_way(
    folder_of: Callable[[str], str],
    subject_of: Callable[..., Subject],
    monkeypatch: pytest.MonkeyPatch,
):
    """What is held against the processor is what cases are made of."""
    from fuzz.families import family_of
    from fuzz.worker import by_processor, placing

    subject = subject_of(family="aya_vision", model=folder_of("aya_vision"))
    kept = subject.family
    join = placing.join

    def reversed_join(*given: Any) -> Any:
        return {name: x.flip(0) for name, x in join(*given).items()}

    monkeypatch.setattr(placing, "join", reversed_join)
    try:
        subject.family = family_of("aya_vision")
        with pytest.raises(by_processor.Undecided, match="joined in a way that is not known"):
            by_processor.learn(subject)
        assert subject.family == family_of("aya_vision")
    finally:
        subject.family = kept


def test_images_are_not_drawn_where_token_types_are_told(
    folder_of: Callable[[str], str],
    subject_of: Callable[..., Subject],
    monkeypatch: pytest.MonkeyPatch,
):
    from fuzz.families import family_of
    from fuzz.worker import by_processor, release

    subject = subject_of(family="aya_vision", model=folder_of("aya_vision"))
    kept = subject.family
    monkeypatch.setattr(release, "accepts", lambda _function, name: name == "token_type_ids")
    try:
        subject.family = family_of("aya_vision")
        with pytest.raises(by_processor.Undecided, match="what the model makes of token_type_ids"):
            by_processor.learn(subject)
    finally:
        subject.family = kept


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("image_token_index", 50, "makes no image of the config's image token, 50"),
        ("image_token_index", 100_000, "makes no image of the config's image token, 100000"),
        ("vocab_size", 124, "makes tokens up to "),
        ("patch_size", 7, "as its processor makes it, dies of ValueError: "),
    ],
)
def test_a_directory_that_contradicts_itself_gets_no_images_and_is_told_why(
    name: str, value: int, said: str, tmp_path: Path, subject_of: Callable[..., Subject]
):
    """What a directory says wrong is no finding about transformers."""
    from fuzz.worker.geometry import geometry_of
    from fuzz.worker.look import looked_at

    folder = Path(directories.aya_vision(tmp_path / f"{name}-{value}"))
    config = json.loads((folder / "config.json").read_text())
    within = {"vocab_size": "text_config", "patch_size": "vision_config"}.get(name)
    (config[within] if within else config)[name] = value
    (folder / "config.json").write_text(json.dumps(config))
    subject = subject_of(family="aya_vision", model=str(folder))
    assert not geometry_of(subject).images
    (line,) = [line for line in looked_at(subject)[1] if line.startswith("text only: ")]
    assert said in line
    assert len(line) < 300


def test_a_config_that_transformers_refuses_is_one_line(
    tmp_path: Path, subject_of: Callable[..., Subject]
):
    from fuzz.worker.errors import WorkerSetupError

    folder = Path(directories.aya_vision(tmp_path / "refused"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "image_token_index": "many"}))
    with pytest.raises(
        WorkerSetupError, match=r"config\.json: not a config of aya_vision: "
    ) as told:
        subject_of(family="aya_vision", model=str(folder))
    assert "\n" not in str(told.value)
