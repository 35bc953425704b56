"""What is read out of a dead worker's output."""

from __future__ import annotations

import pytest

from fuzz.isolation import autopsy

_MODEL = "/v/lib/python3.11/site-packages/transformers/models/qwen2_vl/modeling_qwen2_vl.py"
_TORCH = "/v/lib/python3.11/site-packages/torch/nn/functional.py"


def _dump(*threads: tuple[str, list[tuple[str, str]]]) -> str:
    lines = []
    for title, frames in threads:
        lines.append(f"{title} (most recent call first):")
        lines += [f'  File "{file}", line 7 in {name}' for file, name in frames]
    return "\n".join(lines)


def test_the_innermost_frame_of_transformers_is_named_below_those_of_torch() -> None:
    stack = [(_TORCH, "linear"), (_MODEL, "get_rope_index"), (_MODEL, "forward")]
    dump = _dump(("Current thread 0x00007f", stack))
    assert autopsy.innermost(dump) == "modeling_qwen2_vl.get_rope_index"


def test_the_thread_with_the_error_goes_before_the_others() -> None:
    dump = _dump(
        ("Current thread 0x1", [(_MODEL, "guilty")]), ("Thread 0x2", [(_MODEL, "waiting")])
    )
    assert autopsy.innermost(dump) == "modeling_qwen2_vl.guilty"


def test_without_such_a_thread_the_first_of_the_process_counts() -> None:
    dump = _dump(("Thread 0x1", [(_MODEL, "helper")]), ("Thread 0x2", [(_MODEL, "main")]))
    assert autopsy.innermost(dump) == "modeling_qwen2_vl.main"


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("/x/dist-packages/transformers/cache_utils.py", True),
        ("/home/me/transformers/src/transformers/models/a/modeling_a.py", True),
        ("/overlay/transformers/generation/utils.py", True),
        ("/home/me/transformers/.venv/lib/python3/site-packages/torch/nn/functional.py", False),
        ("/home/me/transformers/ropefuzz/fuzz/worker/serve.py", False),
        ("<string>", False),
    ],
)
def test_a_file_belongs_to_transformers_by_its_package(file: str, counts: bool) -> None:
    assert bool(autopsy.innermost(_dump(("Thread 0x1", [(file, "f")])))) == counts


def test_the_last_words_are_the_last_telling_line_before_the_dump() -> None:
    printed = (
        "file.cu:12: f: block: [3,0,0] Assertion `a < b` failed.\n"
        "a warning that says nothing\n"
        "frame #3: c10::Error::Error\n\n"
        "Fatal Python error: Aborted\n\nCurrent thread 0x1 (most recent call first):\n"
    )
    assert autopsy.last_words(printed) == "file.cu:12: f: block: [3,0,0] Assertion `a < b` failed."
    assert autopsy.last_words("one\ntwo\n") == "two"
    assert autopsy.last_words("") == ""


def test_what_a_c_plus_plus_exception_says_is_the_last_word() -> None:
    printed = "terminate called after throwing an instance of 'X'\n  what():  no such tensor\n\n"
    assert autopsy.last_words(printed) == "no such tensor"


def test_a_death_names_its_place_and_what_had_been_called_of_torch() -> None:
    wrapper = "/v/lib/python3.11/site-packages/torch/nn/modules/module.py"
    stack = [(_TORCH, "embedding"), (wrapper, "_call_impl"), (_MODEL, "forward")]
    dump = "Fatal Python error: Aborted\n\n" + _dump(("Current thread 0x00007f", stack))
    assert autopsy.died("SIGABRT", "boom: error\n" + dump, 0.1).message == (
        "the worker died by SIGABRT in modeling_qwen2_vl.forward, at functional.embedding: "
        "boom: error"
    )
    plain = _dump(("Current thread 0x1", [(wrapper, "_call_impl"), (_MODEL, "forward")]))
    assert autopsy.died("SIGABRT", plain, 0.1).message == (
        "the worker died by SIGABRT in modeling_qwen2_vl.forward"
    )


def test_a_lost_device_is_told_with_the_kernels_assertion_and_where_it_was_noticed() -> None:
    line = "a.cu:7: f: block: [1,0,0] Assertion `i < n` failed."
    printed = f"{line}\nnoise\n"
    outcome = autopsy.poisoned("CUDA error: assert", "AcceleratorError in m.f", printed, 0.1)
    assert outcome.message == f"the device is lost: CUDA error: assert: {line}"
    assert "noticed at: AcceleratorError in m.f" in outcome.details
    without = autopsy.poisoned("CUDA error: assert", "", "", 0.1)
    assert without.message == "the device is lost: CUDA error: assert"


def test_one_lost_device_is_the_same_wherever_it_is_noticed() -> None:
    printed = "a.cu:7: f: block: [1,0,0] Assertion `i < n` failed.\n"
    other = printed.replace("[1,0,0]", "[5,0,0]")
    first = autopsy.poisoned("CUDA error: assert", "in m.f", printed, 0.1)
    second = autopsy.poisoned("CUDA error: assert", "", other, 0.2)
    assert first.signature == second.signature


def test_two_hangs_in_one_place_are_the_same_whatever_the_deadline() -> None:
    dump = "Timeout (0:00:03)!\n" + _dump(("Thread 0x1", [(_MODEL, "forward")]))
    first, second = autopsy.hung(3.0, dump, 3.1), autopsy.hung(17.5, dump, 17.6)
    assert first.signature == second.signature
    assert first.message == "no answer within 3.0 s; it hung in modeling_qwen2_vl.forward"


def test_two_deaths_that_differ_in_numbers_are_the_same() -> None:
    first, second = (
        autopsy.died("SIGABRT", f"index {n} is out of bounds: error\n", 0.1) for n in (7, 95)
    )
    assert first.signature == second.signature
    assert first.message != second.message


def test_details_keep_the_beginning_of_a_long_stack_and_the_end_of_plain_output() -> None:
    long = [(_MODEL, f"layer_{i}") for i in range(500)]
    dump = "Fatal Python error: Aborted\n\n" + _dump(("Current thread 0x1", long))
    assert "layer_0" in autopsy.died("SIGABRT", "x" * 99_999 + "\n" + dump, 0.1).details
    flood = autopsy.died("SIGABRT", "x" * 99_999 + "the end", 0.1).details
    assert flood.endswith("the end")
    assert len(flood) <= 8_000
