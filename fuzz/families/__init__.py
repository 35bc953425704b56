"""The model families that ropefuzz knows: data, one file each."""

from __future__ import annotations

from typing import Final

from fuzz.families import qwen2_vl
from fuzz.families.family import Family

FAMILIES: Final[dict[str, Family]] = {f.name: f for f in (qwen2_vl.FAMILY,)}
