"""What every test shares: its switches, and what runs where there is no GPU."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

FIRST = ["test_machine_code.py", "test_instructions.py"]
"""For processes that share the files: the one that compiles kernels where it can look at them, for all that load them
later, and the longest one."""


def _has_gpu() -> bool:
    return Path("/proc/driver/nvidia").exists() and importlib.util.find_spec("torch") is not None


if not _has_gpu():
    os.environ["TRITON_INTERPRET"] = "1"  # asked when Triton is imported: kernels then run on the CPU, as NumPy does
if importlib.util.find_spec("triton") is not None:
    importlib.import_module("triton")  # after TensorFlow, its LLVM would end the process

from instructions import SETS, narrower, runnable  # noqa: E402 - this brings an LLVM as well


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exhaustive", action="store_true", help="also run the tests that take hours or 10^9 rows")
    parser.addoption(
        "--instructions",
        choices=["narrower", *SETS],
        help="let Numba, XLA and PyTorch use no wider instructions than these; narrower: the next here",
    )


@pytest.hookimpl(optionalhook=True)  # the peers' own tests are run without the plugin
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process for each core where all tests run; where some are named, none but this: it begins at once."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return len(os.sched_getaffinity(0)) if whole and hasattr(os, "sched_getaffinity") else 0


def _instructions(config: pytest.Config) -> str | None:
    """The set that was asked for, by its own name."""
    chosen = config.getoption("--instructions")
    return narrower() if chosen == "narrower" else chosen


def pytest_configure(config: pytest.Config) -> None:
    """Narrow the instructions before anything that reads them is imported."""
    name = _instructions(config)
    if name is None:
        return
    if name not in runnable():
        raise pytest.UsageError(f"--instructions={name}: this processor is known to have {runnable()}")
    if "numba" in sys.modules:
        raise pytest.UsageError("--instructions comes too late: Numba has been imported")
    os.environ.update(SETS[name].environment)


def pytest_report_header(config: pytest.Config) -> str:
    name, known = _instructions(config), ", ".join(runnable()) or "no set that is known here"
    if name is None:
        return f"instructions: all of this processor, which has {known}"
    settings = " ".join(f"{variable}={value}" for variable, value in SETS[name].environment.items())
    return f"instructions: {name}, of a processor that has {known}: {settings}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, deselected rather than skipped, the exhaustive tests nobody asked for and those of an absent GPU."""
    unwanted = set() if config.getoption("--exhaustive") else {"exhaustive"}
    unwanted.add("interpreted" if _has_gpu() else "gpu")
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in unwanted)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
