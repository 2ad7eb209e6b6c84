"""What every test shares: the `--exhaustive` switch, and what runs where there is no GPU."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest


def _has_gpu() -> bool:
    return Path("/proc/driver/nvidia").exists() and importlib.util.find_spec("torch") is not None


if not _has_gpu():
    os.environ["TRITON_INTERPRET"] = "1"  # asked when Triton is imported: kernels then run on the CPU, as NumPy does
if importlib.util.find_spec("triton") is not None:
    importlib.import_module("triton")  # after TensorFlow, its LLVM would end the process


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exhaustive", action="store_true", help="also run the tests that take hours or 10^9 rows")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, deselected rather than skipped, the exhaustive tests nobody asked for and those of an absent GPU."""
    unwanted = set() if config.getoption("--exhaustive") else {"exhaustive"}
    unwanted.add("interpreted" if _has_gpu() else "gpu")
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in unwanted)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
