"""Mutants of the exact sums: small changes of their source that `exact_sums` must notice.

    pip install cosmic-ray
    NUMBA_DISABLE_JIT=1 PYTHONPATH=src:tests python -m mutants

To compile each mutant would take a minute. Here cosmic-ray's operators change the text, and a forked process runs it
uncompiled. What is Python anyway is for mutmut (docs/trust.md).
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.machinery
import os
import random
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "logloss" / "_kernels" / "exact.py"
NAME = "logloss._kernels.exact"
KINDS = (
    "ReplaceBinaryOperator",
    "ReplaceComparisonOperator",
    "NumberReplacer",
    "ReplaceUnaryOperator",
    "ZeroIteration",
)
PATIENCE = 60
"""Seconds of a core, however busy it is, until a mutant that runs on is taken for one that was noticed."""


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Each mutant's text and what was changed: the line before and after."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    seen = {ast.dump(ast.parse(source))}
    for name in operator_names():
        if not any(kind in name for kind in KINDS):
            continue
        occurrence = 0
        while (text := mutate_code(source, get_operator(name)(), occurrence)) is not None:
            occurrence += 1
            try:
                tree = ast.dump(ast.parse(text))
            except SyntaxError:  # as "x > not 1"
                continue
            if tree not in seen:
                seen.add(tree)
                yield text, _difference(source, text)


def _difference(before: str, after: str) -> str:
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    number, old, new = next((k, a, b) for k, (a, b) in enumerate(pairs, 1) if a != b)
    return f"{number}: {old.strip()} -> {new.strip()}"


def survives(text: str) -> bool:
    """Whether the checks have nothing to say of a mutant."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        load = importlib.machinery.SourceFileLoader.get_code

        def get_code(self, name):
            return compile(text, str(SOURCE), "exec") if name == NAME else load(self, name)

        importlib.machinery.SourceFileLoader.get_code = get_code
        try:
            importlib.import_module("uncompiled")
            importlib.import_module("exact_sums").check()
        except BaseException:  # noqa: BLE001 - anything is a notice
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="mutants")
    parser.add_argument("--sample", type=int, help="so many of them, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    asked = parser.parse_args()
    importlib.import_module("numba")  # once for all of them

    source = SOURCE.read_text(encoding="utf-8")
    if not survives(source):
        sys.exit("the checks fail of the source as it is")
    some = list(mutants(source))
    chosen = some if asked.sample is None else random.Random(asked.seed).sample(some, asked.sample)
    left = 0
    for text, difference in chosen:
        if survives(text):
            left += 1
            print(difference, flush=True)
    print(f"{len(chosen):,} of {len(some):,} mutants, {left:,} survive")


if __name__ == "__main__":
    main()
