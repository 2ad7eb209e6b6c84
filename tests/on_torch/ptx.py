"""Compile the GPU kernels for one architecture, without a GPU, and say what came out as JSON (run by `test_ptx.py`)."""

from __future__ import annotations

import inspect
import json
import re
import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from logloss._kernels import gpu

NAMES = list(inspect.signature(gpu.tile.fn).parameters)
NUMBERS = ("factor", "a1", "a0", "b1", "b0", "ignored")
OPERANDS = dict(zip(["x", "t", "mask", "row", "element", "table", "loss", "grad", "scale"], "xtmreplgs", strict=True))
"""Letters of the strides."""


def compiled(pointers: dict[str, str], **constants: Any) -> Any:
    """The kernel with these operands, laid out as `gpu.cross_entropy` lays out contiguous arrays."""
    pointers = {"partials": "*fp32", **pointers}
    fixed: dict[str, Any] = {name: None for name in OPERANDS if name not in pointers}
    fixed |= {"outer": 1, "rows": 1, "ROWS": 1, "COLUMNS": gpu.TILE, "IGNORE": 0, "CHECK": True, "ONE_SCALE": True}
    fixed |= constants
    fixed |= {letter + "2": 1 for letter in OPERANDS.values()}  # what Triton itself makes of a stride of 1
    signature = {
        name: "constexpr" if name in fixed else pointers.get(name, "fp32" if name in NUMBERS else "i32")
        for name in NAMES
    }
    even = [*pointers, "columns", *(letter + axis for letter in OPERANDS.values() for axis in "01")]
    attributes = {(NAMES.index(name),): [["tt.divisibility", 16]] for name in even}
    source = ASTSource(gpu.tile, signature, {(NAMES.index(name),): value for name, value in fixed.items()}, attributes)
    return triton.compile(source, target=GPUTarget("cuda", int(sys.argv[1]), 32), options=gpu.LAUNCH)


def negatives(kind: str, grad: bool) -> Any:
    """The kernel of negatives with these products, as it is launched for long rows of a layer with a bias."""
    names = list(inspect.signature(gpu.negatives.fn).parameters)
    pointers = {"costs": "*fp32", "products": kind, "gain": "*fp32", "bias": kind}
    pointers |= {"slopes": "*fp32"} if grad else {}
    fixed: dict[str, Any] = {"shift": None, "GRAD": grad, "ROWS": 1, "COLUMNS": gpu.TILE}
    fixed |= {} if grad else {"slopes": None}
    signature = {name: "constexpr" if name in fixed else pointers.get(name, "i32") for name in names}
    attributes = {(names.index(name),): [["tt.divisibility", 16]] for name in [*pointers, "columns"]}
    source = ASTSource(
        gpu.negatives, signature, {(names.index(name),): value for name, value in fixed.items()}, attributes
    )
    return triton.compile(source, target=GPUTarget("cuda", int(sys.argv[1]), 32), options=gpu.LAUNCH)


def instructions(kernel: Any) -> list[str]:
    """The machine code, one instruction a line."""
    return [line for line in kernel.asm["sass"].splitlines() if line.endswith(";") and "NOP" not in line]


def facts(kernel: Any) -> dict[str, Any]:
    ptx = kernel.asm["ptx"]
    return {
        "memory": sorted(set(re.findall(r"(?:ld|st)\.global[.\w]*", ptx))),
        "calls": len(re.findall(r"^\s*call", ptx, re.MULTILINE)),
        "approximations": sorted(set(re.findall(r"\w+\.approx[.\w]*", ptx))),
        "divisions": len(re.findall(r"\b(?:div|rcp)\.[.\w]*f\d\d", ptx)),
        "atomics": len(re.findall(r"\b(?:atom|red)\.", ptx)),
        "per element": len(instructions(kernel)) * 32 * gpu.LAUNCH["num_warps"] / gpu.TILE,
        "branches": sum("BRA" in line for line in instructions(kernel)) - 1,  # the last one fills the end
    }


everything = {"mask": "*u8", "row": "*fp32", "element": "*fp64", "table": "*fp32", "scale": "*fp32"}
print(
    json.dumps(
        {
            "plain": facts(compiled({"x": "*fp32", "t": "*fp32", "grad": "*fp32"})),
            "all": facts(
                compiled({"x": "*fp16", "t": "*fp64", "loss": "*fp16", "grad": "*fp16", **everything}, IGNORE=1)
            ),
            "scaled by row": facts(
                compiled(
                    {"x": "*bf16", "t": "*u8", "loss": "*fp32", "grad": "*bf16", "scale": "*fp32"}, ONE_SCALE=False
                )
            ),
            "weights alone": facts(compiled({"mask": "*u8", "element": "*fp32"}, CHECK=False)),
            "negatives": facts(negatives("*bf16", True)),
            "negatives, float32": facts(negatives("*fp32", True)),
            "negatives, the loss alone": facts(negatives("*bf16", False)),
            "whole numbers": facts(compiled({"x": "*fp32", "t": "*i64", "loss": "*fp32"}, IGNORE=2)),
        }
    )
)
