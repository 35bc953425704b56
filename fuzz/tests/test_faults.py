"""The fault matrix: every fault is survived and told, by the driver and by the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.bench import faults as bench
from fuzz.faults import FAULTS, PREFIX
from fuzz.isolation.supervisor import Supervisor
from fuzz.regression import load, regressions_in
from fuzz.target import Target
from fuzz.tests.fake_target import ANSWERS
from fuzz.tests.test_cli import ropefuzz
from fuzz.tests.torchless import finish, start
from fuzz.worker.faults import DEEDS
from strategies.case import Case, Image

DOCUMENT = Path(bench.__file__).parents[1] / "isolation" / "FAULTS.md"
# What an exception gives is decided by the real worker.
TORCHLESS = [n for n in FAULTS if (n in DEEDS or n in ANSWERS) and n != "memory-error"]
NEEDS_TORCH = [name for name in FAULTS if name not in TORCHLESS]
FAILING = [name for name in TORCHLESS if FAULTS[name].verdict not in ("pass", "broken")]
BROKEN = [name for name in TORCHLESS if FAULTS[name].verdict == "broken"]


def documented() -> dict[str, str]:
    """The line a user sees, by fault, as the table has it."""
    rows = [line.split(" | ") for line in DOCUMENT.read_text().splitlines() if line[:2] == "| "]
    return {row[0].strip("| "): row[-1].strip("| `") for row in rows if row[0][2:] in FAULTS}


def masked(line: str) -> str:
    """A printed line as the table has it: one place in the model, no numbers that vary."""
    line = bench.without_what_varies(line)
    return re.sub(r"modeling_qwen2_vl\.\w+", "modeling_qwen2_vl.forward", line)


@pytest.fixture(scope="module")
def rows() -> Iterator[list[bench.Row]]:
    with Supervisor(
        Target(), worker_module=bench.WORKER, memory_limit_mib=bench.MEMORY_LIMIT_MIB
    ) as supervisor:
        supervisor.start()
        yield list(bench.table(supervisor))


def test_every_fault_in_a_real_model_gives_its_verdict_and_the_next_case_passes(
    rows: list[bench.Row],
):
    assert [row.fault.name for row in rows] == list(FAULTS)
    assert [(row.fault.name, row.problem) for row in rows if row.problem] == []


def test_the_table_in_the_documents_is_what_happens(rows: list[bench.Row]):
    """``ropefuzz bench faults`` prints it anew."""
    text = DOCUMENT.read_text()
    assert [line for line in bench.markdown(rows) if line not in text] == []


@pytest.mark.parametrize("name", FAILING)
def test_a_fault_met_by_the_command_line_is_made_small_confirmed_saved_and_replayed(
    name: str, tmp_path: Path
):
    """The same fault strikes while searching, at each smaller case, and at each confirmation."""
    plant = PREFIX + name
    arguments = ["run", "--plant", plant, "--property", "no_crash", "--cases", "25", "--seed", "3"]
    limits = ["--memory-limit", "120"]
    if FAULTS[name].verdict == "hang":  # on a busy machine the others must not come too late
        limits += ["--deadline", "0.4", "2"]
    code, out, err = finish(start(tmp_path, *arguments, *limits))
    assert (code, err) == (1, ""), out + err
    (headline,) = [line for line in out.splitlines() if line.startswith("FINDING")]
    assert masked(headline) == documented()[name]
    assert "  smallest case       image 1x1\n" in out
    assert "  confirmed           3 of 3 fresh processes\n" in out
    assert "no_crash                25 cases" in out
    assert "new findings 1, flaky 0, known 0" in out
    (path,) = regressions_in(tmp_path / "regressions")
    saved = load(path)
    assert saved.case == Case(rows=((Image(1, 1),),))
    assert (saved.signature.verdict, saved.signature.what) == (
        FAULTS[name].verdict,
        FAULTS[name].what,
    )
    code, out, _ = finish(start(tmp_path, "replay", str(path), "--plant", plant, *limits))
    assert (code, out.split()[0]) == (1, "FAILED")
    code, out, _ = finish(start(tmp_path, "replay", str(path)))
    assert (code, out) == (0, f"FIXED  {path}: passes\n")


@pytest.mark.parametrize("name", BROKEN)
def test_what_must_be_our_own_fault_is_never_a_finding_and_never_a_pass(name: str, tmp_path: Path):
    arguments = ["run", "--plant", PREFIX + name, "--property", "no_crash", "--cases", "25"]
    code, out, err = finish(start(tmp_path, *arguments, "--seed", "3"))
    assert (code, err) == (3, ""), out + err
    assert "FINDING" not in out
    assert "cases that could not be judged: " in out
    assert documented()[name] in [masked(line.strip()) for line in out.splitlines()]


def test_only_images_of_a_target_that_takes_none_is_one_line(tmp_path: Path):
    arguments = ["run", "--only-images", "--property", "no_crash", "--cases", "5", "--seed", "1"]
    code, out, err = finish(start(tmp_path, *arguments, FAKE_TARGET_TEXT_ONLY="1"))
    assert (code, err) == (2, "ropefuzz: --only-images: qwen2_vl takes no images\n"), out


def test_a_flood_of_output_disturbs_no_run(tmp_path: Path):
    arguments = ["run", "--plant", "fault-flood", "--property", "no_crash", "--cases", "10"]
    code, out, err = finish(start(tmp_path, *arguments, "--seed", "3"))
    assert (code, err) == (0, ""), out + err
    assert "10 cases in" in out
    assert documented()["flood"] == "nothing"


@pytest.mark.parametrize("name", NEEDS_TORCH)
def test_a_fault_that_torch_tells_is_made_small_confirmed_and_saved(name: str, tmp_path: Path):
    """As above, in the real model, where the fake device layer is."""
    arguments = ["run", "--plant", PREFIX + name, "--property", "no_crash", "--cases", "8"]
    done = ropefuzz(tmp_path, *arguments, "--seed", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    (headline,) = [line for line in done.stdout.splitlines() if line.startswith("FINDING")]
    place = re.compile(r" in modeling_qwen2_vl\.[\w.]+")
    assert place.sub("", headline) == place.sub("", documented()[name])
    assert "  confirmed           3 of 3 fresh processes\n" in done.stdout
    assert len(regressions_in(tmp_path / "regressions")) == 1
