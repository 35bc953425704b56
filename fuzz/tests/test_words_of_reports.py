"""What a person reads, word for word."""

from __future__ import annotations

from pathlib import Path

from fuzz.events import PropertyDone
from fuzz.report import command, finding_lines, summary_lines, tally_line
from fuzz.session import Options, Report
from fuzz.target import Target
from fuzz.tests.builders import FIRST, finding
from fuzz.verdict import Signature

PATH = Path("saves/x.json")
CLAIM = (
    "  claim               a valid case runs: no exception, no dead process, only finite numbers"
)
LARGE = "2 rows, right-padded; row 1: 12 text tokens, image 200x90; row 2: 3 text tokens; seed 2"


def test_a_confirmed_finding():
    assert finding_lines(finding(), PATH, "") == [
        "FINDING no_crash (error): index 0 passed a table of 0 rows",
        CLAIM,
        "  smallest case       one text token, no image",
        f"  first seen with     {LARGE}",
        "  minimized in        17 attempts",
        "  confirmed           3 of 3 fresh processes",
        "  saved               saves/x.json",
        "  see it again        ropefuzz replay saves/x.json",
    ]


def test_a_flaky_finding_whose_minimization_was_cut_short():
    assert finding_lines(finding(failed=1, complete=False, attempts=1), PATH, "") == [
        "FLAKY no_crash (error): index 0 passed a table of 0 rows",
        CLAIM,
        "  smallest case       one text token, no image",
        f"  first seen with     {LARGE}",
        "  minimized in        1 attempt, stopped before nothing simpler was left to try",
        "  confirmed           1 of 3 fresh processes",
        "  saved               saves/x.json",
        "  see it again        ropefuzz replay saves/x.json",
    ]


def test_an_unconfirmed_finding_that_could_not_be_saved():
    lines = finding_lines(finding(runs=0, failed=0), None, "could not be saved: full")
    assert lines[0] == "FINDING (unconfirmed) no_crash (error): index 0 passed a table of 0 rows"
    assert lines[-3:] == [
        "  confirmed           no: the run was stopped before",
        "  not saved           could not be saved: full",
        '  the case            {"rows":[[{"text":1}]]}',
    ]


def test_a_stack_is_shortened_to_the_inner_frames_of_each_thread():
    site = "/v/lib/python3.11/site-packages"
    details = "\n".join(
        [
            "Assertion `i < n` failed.",
            "Timeout (0:00:03)!",
            "Thread 0x1 (most recent call first):",
            f'  File "{site}/torch/nn/modules/module.py", line 1778 in _call_impl',
            *[f'  File "{site}/transformers/a.py", line {n} in f' for n in range(10)],
            "Thread 0x2 (most recent call first):",
            '  File "/home/me/b.py", line 7 in g',
            "Extension modules: numpy (total: 1)",
        ]
    )
    hang = finding(signature=Signature("no_crash", "hang", "deadline"), details=details)
    shown = [line[4:] for line in finding_lines(hang, PATH, "") if line.startswith("  | ")]
    assert shown == [
        "Assertion `i < n` failed.",
        "Timeout (0:00:03)!",
        "Thread 0x1 (most recent call first):",
        *[f"  transformers/a.py:{n} in f" for n in range(8)],
        "  ... and 2 more",
        "Thread 0x2 (most recent call first):",
        "  /home/me/b.py:7 in g",
    ]


def test_a_crash_met_by_another_check_with_a_plant():
    crash = finding(
        property="causality",
        signature=Signature("no_crash", "crash", "SIGABRT"),
        message="the process died by SIGABRT",
        details="first\n\n  assert i < n  \n" + "more\n" * 20,
        target=Target(plants=("abort",)),
        case=FIRST,
    )
    assert finding_lines(crash, PATH, "saved before") == [
        "FINDING no_crash (crash): the process died by SIGABRT",
        "  met while checking  causality: a later token never moves an earlier logit",
        CLAIM,
        f"  smallest case       {LARGE}",
        "  confirmed           3 of 3 fresh processes",
        "  | first",
        "  |   assert i < n",
        *["  | more"] * 6,
        "  saved               saves/x.json (saved before)",
        "  see it again        ropefuzz replay saves/x.json --plant abort",
    ]


def test_a_path_with_a_space_can_be_pasted():
    lines = finding_lines(finding(), Path("my saves/x.json"), "")
    assert lines[-1] == "  see it again        ropefuzz replay 'my saves/x.json'"


def test_the_line_of_a_property():
    done = PropertyDone("no_crash", {"error": 2, "pass": 38}, 1, 60, 2.0)
    assert tally_line(done) == (
        "no_crash                40 cases  38 pass, 2 error, 1 of them known  (60 checks, 30/s)"
    )


def test_the_line_of_a_property_that_had_no_time():
    assert tally_line(PropertyDone("causality", {}, 0, 0, 0.0)) == (
        "causality                0 cases  none  (0 checks, 0/s)"
    )


def test_the_summary_of_a_clean_run():
    report = Report((), (), {"no_crash": {"pass": 3}, "causality": {"pass": 2}}, (), False, "")
    lines = summary_lines(report, command(Target(), Options(seed=7)), 12.4)
    assert lines[:-1] == ["5 cases in 12 s: 5 pass", "new findings 0, flaky 0, known 0"]
    assert lines[-1].startswith("the same cases again: ropefuzz run --family qwen2_vl --seed 7")


def test_the_summary_of_a_run_in_which_everything_happened():
    report = Report(
        findings=(finding(), finding(failed=0), finding(runs=0)),
        known=("a",),
        counts={"no_crash": {"pass": 3, "broken": 1}, "causality": {"pass": 2, "fail": 1}},
        broken=("b1",),
        interrupted=True,
        fatal="no worker",
    )
    lines = summary_lines(report, command(Target(plants=("abort",)), Options(seed=7)), 12.4)
    assert lines[:-1] == [
        "7 cases in 12 s: 5 pass, 1 fail, 1 broken",
        "new findings 2, flaky 1, known 1",
        "next: ropefuzz map, repro or bisect FILE: what fails, as a script, since when",
        "cases that could not be judged: 1; please report them:",
        "  b1",
        "stopped: no worker",
        "stopped by Ctrl-C or SIGTERM; what was found until then is kept",
    ]
    assert "--plant abort" in lines[-1]
    assert "--seed 7" in lines[-1]


def test_the_same_cases_again_repeats_what_was_not_at_its_default():
    report = Report((), (), {}, (), False, "")
    options = Options(properties=("no_crash", "causality"), cases=20, seed=7, only_images=True)
    target = Target(model="/my model", attn="eager", plants=("abort",))
    assert summary_lines(report, command(target, options), 1.0)[-1] == (
        "the same cases again: ropefuzz run --family qwen2_vl --seed 7 --model '/my model' "
        "--attn eager --property no_crash --property causality --cases 20 --only-images "
        "--plant abort"
    )


def test_cases_that_say_nothing_are_counted():
    done = PropertyDone("cache_agreement", {"pass": 9, "reject": 1}, 0, 10, 2.0, idle=4)
    assert tally_line(done) == (
        "cache_agreement         10 cases  9 pass, 1 reject, 4 with nothing to compare  "
        "(10 checks, 5/s)"
    )
