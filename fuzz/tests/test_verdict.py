"""Outcomes travel unchanged, and signatures name the same failure for ever."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from fuzz.verdict import (
    FAILURES,
    Kind,
    Outcome,
    Signature,
    outcome_from_plain,
    outcome_to_plain,
    without_numbers,
)

SIGNATURE = Signature("no_crash", "error", "IndexError", "modeling_x.Rotary.forward", "index #")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", ""),
        ("  \n ", ""),
        ("no digits", "no digits"),
        ("index 12 of 7", "index # of #"),
        ("at 0x7fFe12, at 0xab", "at #, at #"),
        ("-1.5e-07 and 2E+3", "# and #"),
        ("shape [2, 3 ,4]", "shape [#]"),
        ("mat1 and mat2 (1x128 and 64x2)", "mat# and mat# (#x# and #x#)"),
        ("first 1\nsecond 2", "first #"),
        ("\n\nafter empty lines 3", "after empty lines #"),
    ],
)
def test_numbers_and_addresses_leave_a_message(message: str, expected: str):
    assert without_numbers(message) == expected


def test_a_message_is_cut_at_160_characters():
    assert without_numbers("x" * 500) == "x" * 160


def test_taking_the_numbers_out_twice_changes_nothing():
    once = without_numbers("sizes (3, 4) at 0x12, -7.25e3 off")
    assert without_numbers(once) == once


def test_the_fingerprint_is_what_it_was_when_files_were_named_after_it():
    # Literal on purpose: a change here renames every saved regression.
    assert SIGNATURE.fingerprint == "cee7363cd1"


@pytest.mark.parametrize("field", ["property", "verdict", "what", "where", "message"])
def test_every_field_of_a_signature_counts_in_its_fingerprint(field: str):
    values = {
        name: getattr(SIGNATURE, name)
        for name in ("property", "verdict", "what", "where", "message")
    }
    other = Signature(**{**values, field: "crash"})
    assert other.fingerprint != SIGNATURE.fingerprint


def test_text_that_moves_between_fields_gives_another_fingerprint():
    one = Signature("no_crash", "error", "ab", "c")
    other = Signature("no_crash", "error", "a", "bc")
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize("verdict", get_args(Kind))
def test_an_outcome_comes_through_json_as_it_was(verdict: Kind):
    signature = SIGNATURE if verdict in FAILURES else None
    outcome = Outcome(verdict, "what broke", signature, "line 1\nline 2", 0.25)
    assert outcome_from_plain(json.loads(json.dumps(outcome_to_plain(outcome)))) == outcome


def test_only_what_says_something_about_the_code_under_test_is_a_failure():
    failed = {kind for kind in get_args(Kind) if Outcome(kind).failed}
    assert failed == {"fail", "error", "crash", "hang", "oom"}
