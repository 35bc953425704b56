"""The family is read off a checkpoint directory; a bad directory is one clear line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.cli import main
from fuzz.errors import UsageProblem
from fuzz.options import add_target_options, target_from
from fuzz.report import command, target_in_words
from fuzz.session import Options
from fuzz.target import Target

LLAMA = '{"model_type": "llama"}'
VISION = '{"model_type": "qwen2_vl", "vision_config": {}}'


def tensors(length: int, data: bytes = b"") -> bytes:
    """Return a safetensors file of one tensor of so many bytes, of which so many are there."""
    place = {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}
    header = json.dumps({"x": place}).encode()
    return len(header).to_bytes(8, "little") + header + data


def target_of(*words: str) -> Target:
    parser = argparse.ArgumentParser()
    add_target_options(parser.add_argument)
    return target_from(parser.parse_args(words))


def test_the_family_is_the_one_that_the_config_names(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl"}')
    assert target_of().family == "qwen2_vl"
    target = target_of("--model", str(tmp_path))
    assert (target.family, target.model) == ("qwen3_vl", str(tmp_path.resolve()))
    assert target.weights == "random"


def test_real_weights_are_said_wherever_a_target_is(tmp_path: Path):
    """In words, and in the command line that does the same again."""
    (tmp_path / "config.json").write_text(LLAMA)
    (tmp_path / "model.safetensors").write_bytes(tensors(2, b"ab"))
    target = target_of("--model", str(tmp_path), "--weights", "real")
    assert target.weights == "real"
    assert target_in_words(target) == f"{tmp_path} with its real weights (sdpa, exact, cpu)"
    again = command(target, Options())
    assert f"--model {tmp_path} --weights real" in again
    assert "--weights" not in command(target_of("--model", str(tmp_path)), Options())


def test_a_model_type_without_a_file_of_data_is_a_family_too(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "qwen9"}')
    assert target_of("--model", str(tmp_path)).family == "qwen9"
    assert target_of("--model", str(tmp_path), "--family", "qwen9").family == "qwen9"
    with pytest.raises(UsageProblem, match="unknown family 'qwen9'"):
        target_of("--family", "qwen9")


@pytest.mark.parametrize(
    "processor",
    [
        {"preprocessor_config.json": "{}"},
        {"processor_config.json": '{"image_processor": {"patch_size": 14}}'},
    ],
)
def test_both_places_of_a_processor_are_known(tmp_path: Path, processor: dict[str, str]):
    (tmp_path / "config.json").write_text(VISION)
    for name, text in processor.items():
        (tmp_path / name).write_text(text)
    assert target_of("--model", str(tmp_path)).family == "qwen2_vl"


def nothing(folder: Path) -> None:
    folder.rmdir()


def a_file(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("")


def unreadable(folder: Path) -> None:
    # What cannot be read by the superuser either.
    folder.rmdir()
    folder.symlink_to(folder)


def config_is_a_folder(folder: Path) -> None:
    (folder / "config.json").mkdir()


def files(**contents: bytes | str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name, content in contents.items():
            data = content.encode() if isinstance(content, str) else content
            (folder / f"{name.replace('__', '.')}").write_bytes(data)

    return make


NONE = "model/config.json: "
NO_PROCESSOR = (
    "model: its config has a vision_config, but there is neither preprocessor_config.json nor "
    "processor_config.json to prepare images by"
)
NO_WEIGHTS = (
    "model: no weights: neither model.safetensors nor model.safetensors.index.json; --weights "
    "real needs one"
)


@pytest.mark.parametrize(
    ("make", "weights", "said"),
    [
        (nothing, "random", "model: no such model directory"),
        (a_file, "random", "model: a file; expected a model directory"),
        (unreadable, "random", "model: cannot be read: Too many levels of symbolic links"),
        (files(), "random", f"{NONE}no such file; a model directory needs a config.json"),
        (config_is_a_folder, "random", f"{NONE}cannot be read: Is a directory"),
        (files(config__json="{"), "random", f"{NONE}not JSON: "),
        (files(config__json=b"\xff\xfe\x00"), "random", f"{NONE}not JSON: "),
        (files(config__json="[1]"), "random", f"{NONE}expected a JSON object, got list"),
        (files(config__json="{}"), "random", f"{NONE}no model_type"),
        (
            files(config__json='{"model_type": ["llama"]}'),
            "random",
            f"{NONE}model_type ['llama'] is no name",
        ),
        (
            files(config__json='{"model_type": "../llama"}'),
            "random",
            f"{NONE}model_type '../llama' is no name",
        ),
        (files(config__json=VISION), "random", NO_PROCESSOR),
        (files(config__json=VISION, processor_config__json="{}"), "random", NO_PROCESSOR),
        (
            files(config__json=VISION, preprocessor_config__json="{"),
            "random",
            "model/preprocessor_config.json: not JSON: ",
        ),
        (files(config__json=LLAMA), "real", NO_WEIGHTS),
        (files(config__json=LLAMA, pytorch_model__bin=b"x"), "real", NO_WEIGHTS),
        (
            files(config__json=LLAMA, model__safetensors=b""),
            "real",
            "model/model.safetensors: not a safetensors file",
        ),
        (
            files(config__json=LLAMA, model__safetensors=b"\x02" + bytes(7) + b"[]"),
            "real",
            "model/model.safetensors: not a safetensors file",
        ),
        (
            files(config__json=LLAMA, model__safetensors=tensors(4)[:20]),
            "real",
            "model/model.safetensors: truncated: 20 bytes, and its header alone needs ",
        ),
        (
            files(config__json=LLAMA, model__safetensors=tensors(4, b"abc")),
            "real",
            "model/model.safetensors: truncated: ",
        ),
        (
            files(config__json=LLAMA, model__safetensors__index__json="{}"),
            "real",
            "model/model.safetensors.index.json: not an index of safetensors files",
        ),
        (files(config__json=LLAMA), "fake", "unknown kind of weights 'fake'; "),
    ],
)
def test_a_bad_directory_is_one_line(
    make: Callable[[Path], None],
    weights: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    """And nothing is started: no journal is begun."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    make(folder)
    assert main(["run", "--model", "model", "--weights", weights]) == 2
    output = capsys.readouterr()
    assert output.err.startswith(f"ropefuzz: {said}")
    assert output.err.count("\n") == 1
    assert not output.out
    assert [p.name for p in tmp_path.iterdir()] in ([], ["model"])


def test_real_weights_need_a_directory(capsys: pytest.CaptureFixture[str]):
    assert main(["run", "--weights", "real"]) == 2
    assert capsys.readouterr().err == (
        "ropefuzz: --weights real: expected --model DIR, where they lie\n"
    )
