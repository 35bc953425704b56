"""A mistake of a user's is one line on stderr and exit code 2, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.cli import main
from fuzz.regression import save
from fuzz.tests.builders import finding

ROOT = Path(__file__).resolve().parents[2]


def ropefuzz(
    folder: Path, *arguments: str, first: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, with another one first on the import path."""
    path = os.pathsep.join(str(p) for p in (first, ROOT) if p is not None)
    return subprocess.run(
        [sys.executable, "-m", "fuzz.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--family", "qwen2_v"], "unknown family 'qwen2_v'; did you mean 'qwen2_vl'?"),
        (["--plant", "abrt"], "unknown plant 'abrt'; did you mean 'abort'?"),
        (["--property", "no_crush"], "unknown property 'no_crush'; did you mean 'no_crash'?"),
        (["--attn", "sdpaa"], "unknown attention implementation 'sdpaa'; did you mean 'sdpa'?"),
        (
            ["--attn", "9"],
            "unknown attention implementation '9'; "
            "known: eager, flash_attention_2, flex_attention, sdpa",
        ),
        (["--dtype", "float23"], "unknown dtype 'float23'; did you mean 'float32'?"),
        (["--model", "/no/such"], "/no/such: no such model directory"),
        (["--device", "gpu"], "unknown device 'gpu'; expected cpu, cuda or cuda:N"),
        (["--device", "cuda:"], "unknown device 'cuda:'; expected cpu, cuda or cuda:N"),
        (["--wrap", "no-such-tool --x"], "--wrap: no-such-tool: no such command"),
        (["--wrap", " "], "--wrap: expected a command, got nothing"),
        (["--wrap", "env 'x"], "--wrap: cannot be read as words: No closing quotation"),
        (["--deadline", "9", "2"], "--deadline: expected MIN <= MAX, got 9 and 2"),
    ],
)
def test_an_option_that_names_nothing_known_is_one_line(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    assert main(["run", *arguments]) == 2
    output = capsys.readouterr()
    assert output.err == f"ropefuzz: {said}\n"
    assert output.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--cases", "0"], "expected a whole number of 1 or more, got '0'"),
        (["run", "--cases", "many"], "expected a whole number of 1 or more, got 'many'"),
        (["run", "--time", "soon"], "expected a time such as 90s, 10m or 2h, got 'soon'"),
        (["run", "--time", "0s"], "expected a time such as 90s, 10m or 2h, got '0s'"),
        (["run", "--deadline", "nan", "2"], "expected a number of seconds above 0 and up to 86400"),
        (["run", "--deadline", "3", "1e10"], "and up to 86400, got '1e10'"),
        (["run", "--seed", "x"], "invalid int value: 'x'"),
        (["run", "--cases", "1", "--time", "1s"], "not allowed with argument"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "required: COMMAND"),
    ],
)
def test_a_value_that_cannot_be_read_is_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_help_mentions_the_exit_codes(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "exit codes: 0 nothing new, 1 findings, 2 wrong use, 3 could not judge" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        ("hello", "not JSON, or cut off"),
        ('{"format_version": 1, "ca', "not JSON, or cut off"),
        ('{"format_version": 99}', "format_version 99 is unknown"),
        ('{"format_version": 1}', "is missing"),
    ],
)
def test_a_bad_regression_file_is_one_line(
    content: str | None, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_text(content)
    assert main(["replay", str(path)]) == 2
    output = capsys.readouterr()
    (line,) = (output.out + output.err).splitlines()
    assert line.startswith(f"ERROR  {path}: ")
    assert said in line


def test_a_folder_without_regressions_is_wrong_use(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert main(["replay", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"ropefuzz: no regression files in {tmp_path}\n"


def test_a_bad_regression_file_does_not_stop_a_good_one(tmp_path: Path):
    # With the real worker, some 8 s.
    good, _ = save(finding(), tmp_path)
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    done = ropefuzz(tmp_path, "replay", str(bad), str(good))
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"ERROR  {bad}: not JSON")
    assert lines[1] == f"FIXED  {good}: passes"
    assert (done.returncode, done.stderr) == (2, "")


def test_a_file_in_place_of_the_save_folder_is_one_line(tmp_path: Path):
    (tmp_path / "saves").write_text("in the way")
    done = ropefuzz(tmp_path, "run", "--cases", "1", "--save-to", "saves")
    assert done.returncode == 2
    assert done.stderr == "ropefuzz: saves: cannot be made or written: File exists\n"


def test_a_model_directory_without_a_config_is_one_line(tmp_path: Path):
    # With the real worker, some 8 s.
    (tmp_path / "model").mkdir()
    done = ropefuzz(tmp_path, "run", "--cases", "1", "--model", "model")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("ropefuzz: ")
    assert "config.json" in line


def test_a_device_that_is_not_there_is_one_line(tmp_path: Path):
    # With the real worker, some 8 s.
    done = ropefuzz(tmp_path, "run", "--cases", "1", "--device", "cuda:99")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("ropefuzz: cuda:99 cannot be used: ")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('__version__ = "4.40.0"\n', "transformers 4.40.0 is too old, 4.45 or newer is needed"),
        ('raise ImportError("not here")\n', "transformers cannot be imported (not here)"),
    ],
)
def test_transformers_too_old_or_missing_is_one_line(source: str, said: str, tmp_path: Path):
    # Imports torch, some 4 s each.
    package = tmp_path / "first" / "transformers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(source)
    done = ropefuzz(tmp_path, "run", "--cases", "1", first=package.parent)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ropefuzz: {said}")
