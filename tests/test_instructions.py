"""The same bits with every instruction set that this processor has, and with none: uncompiled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import logloss as ll
from instructions import SETS, runnable
from worker import answers, diagnosed

N = 300_500  # two tasks of the general kernels
CODE = f"import json, worker; print(json.dumps([worker.assembly(), worker.answers({N})]))"

FEW = 500  # two blocks, the second not a whole one
UNCOMPILED = f"""
import json, types
import uncompiled, exact_sums, worker
from logloss._kernels import scoring
assert type(scoring.add_rows) is types.FunctionType
exact_sums.check()
found = {{**worker.answers({FEW}), **worker.diagnosed({FEW})}}
one = worker.one_answer({FEW})
uncompiled.forget_to_fuse()
print(json.dumps([found, one != worker.one_answer({FEW})]))
"""


def start(environment: dict[str, str], threads: int, code: str = CODE) -> subprocess.Popen[str]:
    """The same calls in a process of its own."""
    path = os.pathsep.join([str(Path(ll.__file__).parents[1]), str(Path(__file__).parent)])
    settings = {"PYTHONPATH": path, "LOGLOSS_NUM_THREADS": str(threads), **environment}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(not runnable(), reason="no instruction set of this processor is known")
def test_the_same_bits_with_every_instruction_set():
    """Elements, gradients, Hessians, sums, denominators and scores, with one thread and with three."""
    processes = {name: start(SETS[name].environment, 1 + 2 * (k % 2)) for k, name in enumerate(runnable())}
    outputs = {name: process.communicate(timeout=1800)[0] for name, process in processes.items()}
    here = answers(N)  # last: a process beside this one may by now have compiled what it takes
    for name, process in processes.items():
        assert process.returncode == 0, name
        code, there = json.loads(outputs[name])
        assert not SETS[name].uses_more(code), name
        assert there.keys() == here.keys()
        assert [key for key in here if there[key] != here[key]] == [], name


def test_the_same_bits_uncompiled():
    """The kernels' source as Python runs it (`uncompiled`), against machine code; a fused step too few shows."""
    process = start({"NUMBA_DISABLE_JIT": "1"}, 1, UNCOMPILED)
    here = {**answers(FEW), **diagnosed(FEW)}
    output, _ = process.communicate(timeout=1800)
    assert process.returncode == 0
    there, noticed = json.loads(output)
    assert there.keys() == here.keys()
    assert [key for key in here if there[key] != here[key]] == []
    assert noticed


@pytest.mark.parametrize(
    ("name", "line", "more"),
    [
        ("AVX2", "vaddps %zmm0, %zmm1, %zmm2", True),
        ("AVX2", "vpaddd %ymm0, %ymm1, %ymm2", False),
        ("AVX", "vpaddd %ymm0, %ymm1, %ymm2", True),
        ("AVX", "vaddps %ymm0, %ymm1, %ymm2", False),
        ("NEON", "fadd z0.s, z0.s, z1.s", True),
        ("NEON", "fadd v0.4s, v0.4s, v1.4s", False),
    ],
)
def test_wider_instructions_are_seen(name: str, line: str, more: bool):
    assert SETS[name].uses_more(f"\tmovq %rax, %rbx\n\t{line}\n") is more
