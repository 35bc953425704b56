"""A program that prints PRECONDITIONS.md: every precondition, with a call that breaks it.

``python -m fuzz.worker.flash.tests.page > fuzz/worker/flash/PRECONDITIONS.md`` writes it anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fuzz.worker.flash.preconditions import CACHE, ROTARY, SEQUENCES, TENSORS, Precondition
from fuzz.worker.flash.tests.contract_cases import BREACHES, Change, valid

SECTIONS: Final = {
    "Tensors and numbers": TENSORS,
    "Where sequences lie": SEQUENCES,
    "A cache": CACHE,
    "Rotary embedding": ROTARY,
}
HEAD: Final = """\
# What flash-attn's kernels take for granted

The contract guard checks all of this before every call, in front of the compiled extension and in
front of the reference alike. Checked: flash-attn refuses such a call by itself. Where it does not,
the table says what its kernels do then. Lines are those of flash-attn 2.8.3.post2: of the check, or
of where what was not checked is used. What happens unchecked was read there; none of it was run on
a GPU.

The last column is what a user gets for one call that breaks it, as said after the name of the
function of transformers that made the call (`fuzz/worker/flash/tests/contract_cases.py` has the
calls). A test compares this page with what is raised; `python -m fuzz.worker.flash.tests.page`
prints it anew.
"""


def page() -> str:
    """Return the page in Markdown."""
    rules = [rule for section in SECTIONS.values() for rule in section]
    checked = sum(rule.checked for rule in rules)
    count = f"{len(rules)} preconditions: {checked} checked, {len(rules) - checked} not.\n"
    parts = [HEAD, count]
    for title, section in SECTIONS.items():
        lines = ["| what must hold | checked | source | what a user sees |", "|---|---|---|---|"]
        lines += [_row(rule) for rule in section]
        parts += [f"## {title}\n", "\n".join(lines) + "\n"]
    return "\n".join(parts)


def _row(rule: Precondition) -> str:
    said = next(
        _said(code, name, change) for code, name, change, _ in BREACHES if code == rule.code
    )
    checked = "yes" if rule.checked else f"no: {rule.consequence}"
    sources = ", ".join(f"`{place}`" for place in rule.source.split("; "))
    cells = (f"{rule.sentence} [{rule.code}]", checked, sources, f"`` {said} ``")
    return f"| {' | '.join(cells)} |"


def _said(code: str, function: str, change: Callable[[], Change]) -> str:
    """Return what is said of the precondition, without what else a call breaks."""
    from fuzz.worker.flash.contract import ContractError, check

    call = valid(function)
    change()(call)
    try:
        check(function, *call.values(), wide=True)
    except ContractError as error:
        breach = next(b for b in error.breaches if b.precondition.code == code)
        return str(ContractError(function, (breach,)))
    raise AssertionError(f"{code} was not noticed")


if __name__ == "__main__":
    print(page(), end="")
