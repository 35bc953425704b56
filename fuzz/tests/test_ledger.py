"""The ledger expects exactly the failures that it names, on the releases that it names."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fuzz.claims import CLAIMS
from fuzz.errors import UsageProblem
from fuzz.families import FAMILIES
from fuzz.ledger import UNLISTED, Entry, known, load, shipped
from fuzz.target import Target
from fuzz.tests.builders import SIGNATURE
from strategies.case import Case, Image

OTHER = replace(SIGNATURE, what="KeyError")
ENTRY = Entry(
    id="short-table",
    families=("qwen2_vl",),
    signatures=(OTHER, SIGNATURE),
    reason="r",
    evidence="e",
    url="",
    affects=">=5.2,<5.9",
    first_seen="2026-01-01",
    last_seen="2026-01-01",
)
PLAIN: dict[str, Any] = {
    "id": "a",
    "family": "qwen2_vl",
    "signatures": [{"property": "no_crash", "verdict": "error", "what": "KeyError"}],
    "reason": "r",
    "evidence": "e",
    "url": "",
    "affects": ">=5",
    "first_seen": "2026-01-01",
    "last_seen": "2026-01-01",
}


def expects(
    entry: Entry,
    case: Case | None = None,
    release: str = "5.5.0",
    attn: str = "sdpa",
    **changes: Any,
) -> bool:
    signature = replace(SIGNATURE, **changes)
    return known((entry,), Target(attn=attn), signature, case or Case(), release) is entry


def test_an_entry_for_sliding_windows_covers_only_targets_with_one():
    entry = replace(ENTRY, sliding_window=True)
    given = ((entry,), Target(), SIGNATURE, Case(), "5.5.0")
    assert known(*given) is None
    assert known(*given, 8) is entry
    assert known((ENTRY,), *given[1:], 8) is ENTRY


def test_any_of_its_signatures_matches():
    assert expects(ENTRY)
    assert expects(ENTRY, what="KeyError")


def test_an_entry_can_be_limited_to_an_attention_implementation():
    entry = replace(ENTRY, attn="flash_attention_2")
    assert expects(entry, attn="flash_attention_2")
    assert not expects(entry, attn="sdpa")


@pytest.mark.parametrize("field", ["property", "verdict", "what", "where", "message"])
def test_a_signature_that_differs_in_any_field_does_not_match(field: str):
    changes: dict[str, Any] = {field: "crash"}
    assert not expects(ENTRY, **changes)


def test_another_family_does_not_match():
    assert known((ENTRY,), Target(family="qwen3_vl"), SIGNATURE, Case(), "5.5.0") is None
    both = replace(ENTRY, families=("qwen2_vl", "qwen3_vl"))
    assert known((both,), Target(family="qwen3_vl"), SIGNATURE, Case(), "5.5.0") is both


def test_faults_in_shared_code_are_expected_of_families_without_data_too():
    """And of no listed family that is not named; a family's own name matches as well."""
    shared = replace(ENTRY, families=("qwen2_vl", UNLISTED))
    other = Target(family="qwen9", model="/m")
    assert known((shared,), other, SIGNATURE, Case(), "5.5.0") is shared
    assert known((shared,), Target(family="qwen3_vl"), SIGNATURE, Case(), "5.5.0") is None
    assert known((ENTRY,), other, SIGNATURE, Case(), "5.5.0") is None
    for where, alike in (("utils.A.f", True), ("modeling_a.A.f", False), ("utils.A.g", False)):
        there = replace(SIGNATURE, where=where)
        method = replace(shared, signatures=(replace(there, where="utils.B.f"),))
        assert (known((method,), other, there, Case(), "5.5.0") is method) is alike
        listed = Target(family="qwen2_vl")
        assert known((method,), listed, there, Case(), "5.5.0") is None
    own = replace(ENTRY, families=("qwen9",))
    assert known((own,), other, SIGNATURE, Case(), "5.5.0") is own


@pytest.mark.parametrize(
    ("release", "inside"),
    [
        ("5.1.9", False),
        ("5.2.0", True),
        ("5.8.3", True),
        ("5.9.0", False),
        ("5.8.0.dev0", True),
        ("5.5.0+local", True),
    ],
)
def test_only_releases_of_its_range_match(release: str, inside: bool):
    assert expects(ENTRY, release=release) is inside


def test_the_fields_of_the_case_must_have_their_values():
    entry = replace(ENTRY, when={"cache": "static", "decode": 1})
    assert expects(entry, Case(cache="static", decode=1))
    assert not expects(entry, Case(cache="static"))
    assert not expects(entry, Case(decode=1))


def test_a_condition_of_true_asks_for_any_value_but_the_default():
    entry = replace(ENTRY, when={"turn_image": True, "decode": True, "attention_mask": True})
    shown = Case(entry="generate", decode=1, turn_image=Image(1, 1))
    assert expects(entry, shown)
    assert not expects(entry, replace(shown, turn_image=None))
    assert not expects(entry, replace(shown, attention_mask=False))


def test_from_its_expiry_on_it_counts_as_new_again():
    today = datetime.date.today()
    assert not expects(replace(ENTRY, expires=today.isoformat()))
    assert expects(replace(ENTRY, expires=(today + datetime.timedelta(days=2)).isoformat()))


def test_the_first_entry_that_matches_is_returned():
    later = replace(ENTRY, id="later")
    past = replace(ENTRY, id="past", affects="<5")
    assert known((past, ENTRY, later), Target(), SIGNATURE, Case(), "5.5.0") is ENTRY


def test_a_folder_without_a_ledger_knows_nothing(tmp_path: Path):
    assert load(tmp_path) == ()


def test_a_ledger_is_read(tmp_path: Path):
    data = {"format_version": 1, "known": [PLAIN, {**PLAIN, "id": "b", "when": {"decode": 1}}]}
    (tmp_path / "ledger.json").write_text(json.dumps(data))
    first, second = load(tmp_path)
    assert (first.id, first.when, first.expires) == ("a", {}, "")
    assert (second.id, second.when) == ("b", {"decode": 1})
    assert first.signatures[0].what == "KeyError"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"affects": "newer than 5"}, "PEP 440"),
        ({"when": {"speed": 1}}, "speed"),
        ({"expires": "soon"}, "soon"),
        ({"signatures": [{"property": "no_crash"}]}, "verdict"),
        ({"signatures": 3}, "not a ledger entry"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_entry_is_named_with_its_file(tmp_path: Path, changes: dict[str, Any], said: str):
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps({"format_version": 1, "known": [PLAIN, {**PLAIN, **changes}]}))
    with pytest.raises(UsageProblem) as caught:
        load(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{path}: known[1]: ")
    assert said in text
    assert "\n" not in text


@pytest.mark.parametrize("text", ["{", "[]", '{"format_version": 1}', '{"format_version": 9}'])
def test_a_file_that_is_no_ledger_is_named(tmp_path: Path, text: str):
    path = tmp_path / "ledger.json"
    path.write_text(text)
    with pytest.raises(UsageProblem) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_shipped_ledger_can_be_used():
    entries = shipped()
    assert entries
    assert len({e.id for e in entries}) == len(entries)
    assert {family for e in entries for family in e.families} <= {*FAMILIES, UNLISTED}
    assert {s.property for e in entries for s in e.signatures} <= set(CLAIMS)
