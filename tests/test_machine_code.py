"""What the compiler made of the kernels: loops in vectors, fused multiply-adds, no call of a mathematical library."""

from __future__ import annotations

import functools
import math
import platform
import re
from typing import Any

import numpy as np
import pytest
from numba import from_dtype, jit, njit, types

from logloss._kernels import entries, linear, plain
from logloss._kernels.blocks import JOB
from logloss._spec.losses import CROSS_ENTROPY

JOBS = types.Array(from_dtype(JOB), 1, "C")
PRICES = types.UniTuple(types.float64, 4)
X86 = platform.machine() in ("x86_64", "AMD64")


def _vector(kind: Any) -> Any:
    return types.Array(kind, 1, "C")


def _plain_signatures(x: Any, t: Any) -> dict[str, tuple[Any, ...]]:
    rest = (types.int64, PRICES, types.float64, types.int64, types.int64)
    address = types.int64
    return {"arrays": (_vector(x), _vector(t), _vector(x), *rest), "addresses": (address, address, address, *rest)}


PLAIN = [
    pytest.param(plain.entry(CROSS_ENTROPY, np.dtype(x.name), np.dtype(t.name), True), signature, id=f"{x}-{t}-{name}")
    for x in (types.float32, types.float64)
    for t in (types.float32, types.uint8)
    for name, signature in _plain_signatures(x, t).items()
] + [pytest.param(linear.negatives, (types.int64,) * 8, id="negatives")]
GENERAL = [
    pytest.param(kernel, (JOBS, types.int64, types.int64), id=f"{name}{bits}")
    for (name, bits), kernel in entries.GENERAL.items()
]


@functools.cache
def _code(kernel: Any, signature: tuple[Any, ...]) -> tuple[str, str]:
    """LLVM and assembly of a kernel. Code from the disk cache cannot be inspected and is compiled anew."""
    kernel.compile(signature)
    if signature in kernel.stats.cache_hits:
        kernel = jit(**kernel.targetoptions)(kernel.py_func)
        kernel.compile(signature)
    return kernel.inspect_llvm(signature), kernel.inspect_asm(signature)


@pytest.mark.parametrize(("kernel", "signature"), PLAIN + GENERAL)
def test_no_library_call(kernel: Any, signature: tuple[Any, ...]) -> None:
    llvm, _ = _code(kernel, signature)
    called = set(re.findall(r"call [^@\n]*@\"?([\w.]+)", llvm))
    assert not {
        name
        for name in called
        if re.search(r"\b(llvm\.)?(exp|exp2|log|log1p|log2|expm1|pow)\b", name.replace(".f", " f"))
    }, called
    assert any(name.startswith("llvm.fma.v") for name in called), "no fused multiply-add of a vector"


@pytest.mark.parametrize(("kernel", "signature"), PLAIN + GENERAL)
def test_the_mathematics_runs_in_vectors(kernel: Any, signature: tuple[Any, ...]) -> None:
    """The divisions stand in the loops that matter: as vectors, and once more for the rest that fills no vector."""
    llvm, _ = _code(kernel, signature)
    vectors = re.findall(r"fdiv <(\d+) x (?:float|double)>", llvm)
    assert vectors
    assert max(map(int, vectors)) >= 2


@pytest.mark.skipif(not X86, reason="assembly of x86-64")
@pytest.mark.parametrize(("kernel", "signature"), PLAIN)
def test_assembly_of_the_plain_kernels(kernel: Any, signature: tuple[Any, ...]) -> None:
    _, assembly = _code(kernel, signature)
    assert re.search(r"\bvfn?madd\d+p[sd]\s.*%[yz]mm", assembly)
    assert re.search(r"\bvdivp[sd]\s.*%[yz]mm", assembly)
    names = set(re.findall(r"\b(?:callq?|movabsq)\s+\*?\$?([A-Za-z_]\w+)", assembly))
    assert not {name for name in names if re.search(r"exp|log|pow", name)} - {
        name for name in names if "loss" in name or "logloss" in name
    }


def test_the_search_for_library_calls_can_fail() -> None:
    @njit
    def scalar(x: Any) -> Any:
        for i in range(x.size):
            x[i] = math.exp(x[i])

    scalar.compile((_vector(types.float64),))
    called = set(re.findall(r"call [^@\n]*@\"?([\w.]+)", scalar.inspect_llvm((_vector(types.float64),))))
    assert {name for name in called if re.search(r"\b(llvm\.)?exp\b", name.replace(".f", " f"))}
    assert np.dtype(JOB).itemsize % 8 == 0
