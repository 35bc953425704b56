"""Environments are built once, whole or not at all, and say in one line what is wrong."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz.cli import main
from fuzz.environments import manifest, pip, store
from fuzz.environments.manifest import Manifest
from fuzz.environments.requirement import Requirement, parse
from fuzz.environments.store import Store
from fuzz.errors import CannotJudge, UsageProblem
from fuzz.tests.wheels import only, wheel

ONE = Requirement("1.0", "transformers==1.0", "1.0")
RELEASES = ("4.57.6", "5.2.0", "5.3.0")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    for name, value in only(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "environments"))
    return folder


def fake_build(seconds: float = 0.0, built: list[Path] | None = None) -> Callable[..., Manifest]:
    def build(requirement: Requirement, folder: Path) -> Manifest:
        if built is not None:
            built.append(folder)
        time.sleep(seconds)
        done = Manifest(requirement.pip, "", {"transformers": "1.0"}, {}, 1, seconds)
        (folder / "transformers-1.0.dist-info").mkdir()
        (folder / "transformers-1.0.dist-info" / "RECORD").write_text("")
        manifest.write(folder, done)
        return done

    return build


def test_a_release_brings_what_it_pins_and_shares_the_rest(index: Path, tmp_path: Path):
    pillow = manifest.installed_version("pillow")
    wheel(index, "transformers", "1.0", ("tokenizers==0.0.1", "pillow>=1", 'x; extra=="y"'))
    wheel(index, "tokenizers", "0.0.1")
    told: list[str] = []
    there = Store(tmp_path / "e", told.append)
    with there.use("1.0") as environment:
        folder = environment.folder
        assert folder is not None
        assert environment.version == "1.0"
        done = manifest.read(folder)
        assert done is not None
        assert done.packages == {"transformers": "1.0", "tokenizers": "0.0.1"}
        assert done.shared["pillow"] == pillow
        assert not (folder / "PIL").exists()
        with pytest.raises(UsageProblem, match=r"environment 1\.0 is in use"):
            there.remove("1.0")
    assert told[0] == "environment 1.0: building it"
    assert "transformers 1.0 with tokenizers 0.0.1; 0 MB, built in " in told[1]
    # Another pillow would be another environment.
    assert "pillow" in manifest.unsound(folder, replace(done, shared={"pillow": "0"}), "")

    before = len(told)
    assert there.add(ONE) == (done, False)
    (folder / "transformers" / "__init__.py").write_text("broken")
    done, new = there.add(ONE)
    assert (new, done.packages["transformers"]) == (True, "1.0")
    assert "__init__.py is missing or has changed; building it again" in told[before]
    there.remove("1.0")
    assert [p.name for p in there.root.iterdir()] == [".lock-1.0"]


def test_the_commands_say_what_they_did(index: Path, capsys: pytest.CaptureFixture[str]):
    path = wheel(index, "transformers", "1.0")
    assert main(["env", "list"]) == 0
    assert main(["env", "add", "transformers<2", str(path)]) == 0
    assert main(["env", "add", "2.0"]) == 2
    assert main(["env", "remove", "1.0"]) == 0
    assert main(["env", "remove", "1.0"]) == 2
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith("no environments in ")
    assert lines[1].startswith("built  1.0          transformers 1.0, 0 MB, built in ")
    assert lines[2].startswith("built  transformers-1.0-py3-none-any.whl-")
    assert lines[3] == "removed 1.0: 0 MB"
    errors = [
        line for line in said.err.splitlines() if not line.startswith("ropefuzz: environment")
    ]
    assert errors[0] == "ropefuzz: transformers 2.0: there is no such release"
    assert errors[1].startswith("ropefuzz: no environment '1.0'; there are: transformers-1.0-py3")


def test_an_environment_of_a_file_is_built_again_when_the_file_changes(index: Path, tmp_path: Path):
    there = Store(tmp_path / "e")
    wanted = parse(str(wheel(index, "transformers", "1.0")), lambda: ())
    assert there.add(wanted)[1]
    assert not there.add(wanted)[1]
    wheel(index, "transformers", "1.0", ("pillow",))
    assert there.add(wanted)[1]


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError('x: Failed to "
            "establish a new connection: [Errno 111] Connection refused')': /simple/\n"
            "ERROR: No matching distribution found for transformers==5.2.0",
            CannotJudge,
            "X: the package index cannot be reached: [Errno 111] Connection refused",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement transformers==9.9.9 "
            "(from versions: 5.2.0, 5.3.0)\n"
            "ERROR: No matching distribution found for transformers==9.9.9",
            UsageProblem,
            "X: there is no such release",
        ),
        (
            "ERROR: Ignored the following versions that require a different python version: "
            "9.9.9 Requires-Python >=9\n"
            "ERROR: Could not find a version that satisfies the requirement transformers==9.9.9 "
            "(from versions: 5.2.0)\n"
            "ERROR: No matching distribution found for transformers==9.9.9",
            UsageProblem,
            "X does not install on Python ",
        ),
        (
            "ERROR: No matching distribution found for tokenizers<0.20,>=0.19",
            UsageProblem,
            "X does not install on Python ",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on "
            "device",
            CannotJudge,
            "X: the disk is full",
        ),
        ("/usr/bin/python: No module named pip", CannotJudge, "X: this Python has no pip"),
        ("ERROR: something else\n", CannotJudge, "X: pip failed: something else"),
    ],
)
def test_what_pip_says_becomes_one_line_and_an_exit_code(
    said: str, kind: type[Exception], message: str
):
    problem = pip._problem("X", said)
    assert type(problem) is kind
    assert str(problem).startswith(message)
    assert "\n" not in str(problem)


def test_a_release_for_another_python_and_an_index_out_of_reach_are_told_by_the_real_pip(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wheel(index, "transformers", "1.0", python=">=9")
    there = Store(tmp_path / "e")
    with pytest.raises(UsageProblem, match="does not install on Python"):
        there.add(ONE)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(CannotJudge, match=r"the package index cannot be reached: .*refused"):
        there.add(ONE)
    with pytest.raises(CannotJudge, match=r"the package index cannot be reached: .*refused"):
        there.releases()
    # Nothing half-built is left.
    assert [p.name for p in there.root.iterdir()] == [".lock-1.0"]


def test_two_who_want_the_same_environment_build_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    built: list[Path] = []
    told: list[str] = []
    monkeypatch.setattr(store, "build", fake_build(0.3, built))
    new: list[bool] = []
    both = [
        threading.Thread(target=lambda: new.append(Store(tmp_path, told.append).add(ONE)[1]))
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert (len(built), sorted(new)) == (1, [False, True])
    assert sum("waiting for another process" in line for line in told) == 1


def test_a_build_that_fails_or_was_killed_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(_: Requirement, folder: Path) -> Manifest:
        (folder / "half").write_text("x")
        raise OSError(errno.ENOSPC, "No space left on device")

    killed = tmp_path / ".building-1.0-1"
    killed.mkdir()
    (tmp_path / "1.0").mkdir()
    monkeypatch.setattr(store, "build", full)
    with pytest.raises(CannotJudge, match=r"environment 1\.0: the disk is full"):
        Store(tmp_path).add(ONE)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock-1.0", "1.0"]
    # What stood there without a manifest is no environment, and is replaced.
    monkeypatch.setattr(store, "build", fake_build())
    assert Store(tmp_path).add(ONE)[1]
    assert manifest.read(tmp_path / "1.0") is not None


@pytest.mark.parametrize(
    ("text", "pinned"),
    [
        ("5.2.0", "transformers==5.2.0"),
        ("transformers==5.2.0", "transformers==5.2.0"),
        ("transformers>=5.0,<5.3", "transformers==5.2.0"),
        ("<5", "transformers==4.57.6"),
        ("newest", "transformers==5.3.0"),
    ],
)
def test_a_requirement_is_pinned_to_a_release(text: str, pinned: str):
    assert parse(text, lambda: RELEASES).pip == pinned


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no release", "'no release' is no release of transformers, no specifier and no path"),
        (">9", "no release of transformers fits '>9'"),
        ("./nowhere", "nowhere: no such folder or file"),
        ("x.whl", "x.whl: no such folder or file"),
        (".", "no setup.py and no pyproject.toml, so it is no checkout"),
    ],
)
def test_what_is_no_requirement_is_said(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageProblem) as problem:
        parse(text, lambda: RELEASES)
    assert message in str(problem.value)


@pytest.mark.parametrize(
    ("name", "text", "version"),
    [
        ("requirements.txt", "torch\ntransformers==5.2.0  # pinned\n", "5.2.0"),
        ("r.txt", "transformers[torch]==5.2.0 \\\n    --hash=sha256:00\n-r other.txt\n", "5.2.0"),
        ("r.in", "Transformers>=4.50,<5.3; python_version > '3'\n", "5.2.0"),
        ("r.txt", "transformers==4.0; python_version < '3'\ntransformers==5.2.0\n", "5.2.0"),
        ("uv.lock", '[[package]]\nname = "transformers"\nversion = "5.2.0"\n', "5.2.0"),
        ("pylock.toml", '[[packages]]\nname = "transformers"\nversion = "5.3.0"\n', "5.3.0"),
        ("Pipfile.lock", '{"default": {"transformers": {"version": "==5.3.0"}}}', "5.3.0"),
    ],
)
def test_a_requirements_or_lock_file_stands_for_the_release_it_asks_for(
    tmp_path: Path, name: str, text: str, version: str
):
    (tmp_path / name).write_text(text)
    found = parse(str(tmp_path / name), lambda: RELEASES)
    assert found == Requirement(version, f"transformers=={version}", version)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.txt", "torch==2\n", "expected one transformers, but it asks for none"),
        ("r.txt", "transformers\n", "asks for transformers of any release"),
        ("r.txt", "transformers==1\ntransformers==2\n", "asks for several: ==1, ==2"),
        ("r.txt", "transformers @ git+https://x/y\n", "name a checkout by its folder"),
        ("Pipfile.lock", "{", "expected a lock file of Pipenv"),
        ("gone.txt", None, "cannot be read: No such file or directory"),
        ("uv.lock", "\xff", "asks for none"),
    ],
)
def test_a_file_that_asks_for_no_one_release_is_said(
    tmp_path: Path, name: str, text: str | None, said: str
):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageProblem) as raised:
        parse(str(tmp_path / name), lambda: RELEASES)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
