"""What the tests of the strategies share."""

from __future__ import annotations

from strategies.tests.constants import draw_no_constants_of_ours

draw_no_constants_of_ours()
