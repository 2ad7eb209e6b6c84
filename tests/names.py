"""Names of parametrized tests that are the same in every process, which share the tests by name."""

from __future__ import annotations

import re


def named(value: object) -> str:
    """What a value prints as, without the addresses of functions."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))
