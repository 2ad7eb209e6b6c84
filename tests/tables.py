"""Kinds of tables as parameters of a test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def kinds(names: Iterable[str]) -> list[Any]:
    """The names; those of pandas are marked, since it may be missing."""
    return [pytest.param(name, marks=pytest.mark.frameworks) if "pandas" in name else name for name in names]
