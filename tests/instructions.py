"""The instruction sets that this processor can run, and what makes libraries use no wider one.

Kernels need a fused multiply-add and the conversions of float16, so that the narrowest set here is AVX with both.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from llvmlite import binding


class Instructions(NamedTuple):
    """A set of instructions."""

    needs: frozenset[str]
    """What the processor must have, in LLVM's words."""
    environment: dict[str, str]
    """Variables that Numba, XLA and PyTorch read when they are loaded."""
    more: str
    """A pattern of what only wider sets have."""

    def uses_more(self, assembly: str) -> bool:
        """Whether machine code goes beyond this set."""
        return re.search(self.more, assembly) is not None


def _x86(needs: str, cpu: str, features: str, xla: str, aten: str, more: str) -> Instructions:
    environment = {
        "NUMBA_CPU_NAME": cpu,
        "NUMBA_CPU_FEATURES": features,  # where these are not given, Numba takes those of this processor
        "XLA_FLAGS": f"--xla_cpu_max_isa={xla}",
        "ATEN_CPU_CAPABILITY": aten,
    }
    return Instructions(frozenset(needs.split()), environment, more)


SETS = {
    # in registers of 256 bits, as compilers prefer on many of these processors
    "AVX-512": _x86("avx512f avx512bw avx512cd avx512dq avx512vl", "x86-64-v4", "", "AVX512", "avx512", "%zmm"),
    "AVX2": _x86("avx2 bmi2 f16c fma movbe", "x86-64-v3", "", "AVX2", "avx2", "%zmm|%k[0-7]"),
    "AVX": _x86("avx f16c fma", "x86-64-v2", "+avx,+f16c,+fma", "AVX", "default", r"%zmm|%k[0-7]|vp(add|sll)d.*%ymm"),
    "NEON": Instructions(
        frozenset(["neon"]),
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+neon", "ATEN_CPU_CAPABILITY": "default"},
        r"\bz\d+\.[bhsd]",
    ),
}
"""From wide to narrow."""


def runnable() -> list[str]:
    """The names of the sets that this processor has."""
    try:
        features = binding.get_host_cpu_features()
    except RuntimeError:  # where LLVM cannot ask
        return []
    return [name for name, one in SETS.items() if all(features.get(need) for need in one.needs)]


def narrower() -> str | None:
    """The widest set that is narrower than the widest here, or that one where it is the only one known."""
    names = runnable()
    return next(iter(names[1:] or names), None)
