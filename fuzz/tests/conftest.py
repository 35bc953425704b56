"""What several tests of the driver are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import ledger
from fuzz.isolation.tests.ctrl_c import hear_ctrl_c
from fuzz.tests.stub_run import Bench
from strategies.tests.constants import draw_no_constants_of_ours

hear_ctrl_c()
draw_no_constants_of_ours()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    # The shipped ledger is upstream's business, not these tests'.
    monkeypatch.setattr(ledger, "shipped", lambda: ())
    return Bench(tmp_path / "saves")
