"""The family is read off a checkpoint directory; a bad directory is one clear line."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from fuzz.cli import add_target_options, main, target_from


def test_the_family_is_the_one_that_the_config_names(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl"}')
    parser = argparse.ArgumentParser()
    add_target_options(parser.add_argument)
    assert target_from(parser.parse_args([])).family == "qwen2_vl"
    target = target_from(parser.parse_args(["--model", str(tmp_path)]))
    assert (target.family, target.model) == ("qwen3_vl", str(tmp_path.resolve()))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "no such file; a model directory needs a config.json"),
        (b"{", "not JSON: "),
        (b"\xff\xfe\x00", "not JSON: "),
        (b"[1]", "expected a JSON object, got list"),
        (b"{}", "model_type None is none of the families: "),
        (b'{"model_type": "qwen9"}', "model_type 'qwen9' is none of the families: "),
        (b'{"model_type": ["llama"]}', "model_type ['llama'] is none of the families: "),
    ],
)
def test_a_bad_directory_is_one_line(
    config: bytes | None,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    if config is not None:
        (folder / "config.json").write_bytes(config)
    assert main(["run", "--model", "model"]) == 2
    output = capsys.readouterr()
    assert output.err.startswith(f"ropefuzz: model/config.json: {said}")
    assert output.err.count("\n") == 1


def test_a_config_that_is_a_folder_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model" / "config.json").mkdir(parents=True)
    assert main(["run", "--model", "model"]) == 2
    said = "ropefuzz: model/config.json: cannot be read: Is a directory\n"
    assert capsys.readouterr().err == said
