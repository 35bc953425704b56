"""Old releases: caches get what they take, and what a release cannot do is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from fuzz.target import Target, target_to_plain

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject

SubjectOf = Callable[..., "Subject"]


class Sized:
    """As ``Cache`` of 4.55 is made."""

    def __init__(self, config: object, max_batch_size: int = 0, max_cache_len: int = 0) -> None:
        self.config, self.batch, self.length = config, max_batch_size, max_cache_len


class Handing(Sized):
    """As ``StaticCache`` of 4.55 is: what it is given goes on to the class it is made of."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


def test_a_cache_is_told_its_batch_by_way_of_the_class_it_is_made_of(subject_of: SubjectOf) -> None:
    from fuzz.worker.caches import _of_size
    from fuzz.worker.subject import model_of

    subject = subject_of(family="llama")
    made = _of_size(Handing, subject.config, model_of(subject), 3, 7)
    assert (made.batch, made.length) == (3, 7)


def test_a_model_with_one_class_of_caches_gets_it_and_none_that_grows(
    subject_of: SubjectOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fuzz.worker.caches import lacks, new_cache
    from fuzz.worker.release import modeling_module, text_model
    from fuzz.worker.subject import model_of

    subject = subject_of(family="cohere2")
    model = model_of(subject)
    module = modeling_module(text_model(model))
    monkeypatch.setattr(module, "HybridCache", Handing, raising=False)
    for kind in ("own", "dynamic"):
        assert isinstance(new_cache(kind, model, 1, 4), Handing)
    assert not isinstance(new_cache("static", model, 1, 4), Handing)
    assert lacks(subject)["crop"] == "the one class of caches that it runs with cannot be cropped"


def test_no_static_cache_is_drawn_for_a_model_that_says_it_supports_none(
    subject_of: SubjectOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen2-VL in 4.49 to 4.52, say: forward() takes one, and is not made for it."""
    from fuzz.worker.caches import said_of_lacks
    from fuzz.worker.geometry import geometry_of
    from fuzz.worker.subject import model_of

    subject = subject_of(family="llama")
    model = model_of(subject)
    assert said_of_lacks(subject) == ()
    monkeypatch.setattr(type(model), "_supports_static_cache", False, raising=False)
    said = "no cache is static: this release's model says that it supports none"
    assert said_of_lacks(subject) == (said,)
    assert geometry_of(subject).lacks == ("static",)


def test_a_release_that_is_older_than_a_family_is_told(
    subject_of: SubjectOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    from fuzz.worker import serve
    from fuzz.worker.errors import WorkerSetupError

    subject_of(family="llama_yarn")
    monkeypatch.setattr(transformers, "__version__", "4.50.3")
    with pytest.raises(WorkerSetupError, match=r"4.50.3 is too old for .*exists since 4.51.0"):
        serve.load(target_to_plain(Target(family="llama_yarn")))


def test_the_place_of_an_error_is_the_last_one_in_transformers() -> None:
    from fuzz.worker.geometry import _raised_in

    inner = compile("def resize(): raise ValueError('no')", "/s/PIL/Image.py", "exec")
    outer = compile("def call(f): f()", "/s/transformers/image_transforms.py", "exec")
    found: dict[str, Any] = {}
    exec(inner, found)  # noqa: S102 - frames with these files' names
    exec(outer, found)  # noqa: S102 - likewise
    with pytest.raises(ValueError, match="no") as caught:
        found["call"](found["resize"])
    assert _raised_in(caught.value) == "image_transforms"
