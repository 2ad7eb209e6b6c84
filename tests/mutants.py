"""Mutants: small changes of the source that fast tests must notice.

    pip install -e '.[test-core]' cosmic-ray
    PYTHONPATH=src:tests python -m mutants spec

cosmic-ray's operators change the text of a file; a forked process imports that text in place of the file's, and runs
the tests that are named here. Kernels take a minute to compile, so that `exact` is run uncompiled; of `sums`, one small
kernel is compiled. docs/trust.md explains what survives; `_formula.py` is for mutmut.
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
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "logloss"
IMPORTED_ONCE = ("ml_dtypes", "mpmath", "numba", "numpy", "pytest")
"""What takes longer to import than a mutant to be tried, and holds nothing of the package."""


class Part(NamedTuple):
    """Some of the source, and what must notice its mutants."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    patience: int
    """Seconds of a core, however busy it is, until a mutant that runs on is taken for one that was noticed."""
    uncompiled: bool = False


PARTS = {
    "spec": Part(
        tuple(f"_spec/{name}.py" for name in ("options", "losses", "terms", "reductions")),
        ("test_spec.py", "test_terms.py", "test_fitting.py"),
        20,
    ),
    "sums": Part(("_kernels/sums.py",), ("test_sums.py",), 20),
    "exact": Part(("_kernels/exact.py",), (), 60, uncompiled=True),
}


class Mutant(NamedTuple):
    """One file with one change."""

    file: Path
    text: str
    difference: str = ""


def mutants(file: Path) -> Iterator[Mutant]:
    """Each one of a file; two that say the same are one."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    source = file.read_text(encoding="utf-8")
    seen = {_meaning(source)}
    for name in operator_names():
        if "/Variable" in name:  # what is to be put in place of which name, somebody would have to say
            continue
        occurrence = 0
        while (text := mutate_code(source, get_operator(name)(), occurrence)) is not None:
            occurrence += 1
            try:
                meaning = _meaning(text)
            except SyntaxError:  # as "x > not 1"
                continue
            if meaning not in seen:
                seen.add(meaning)
                yield Mutant(file, text, _difference(source, text))


def _meaning(text: str) -> str:
    """What Python runs: the annotations of functions are for type checkers."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return ast.dump(tree)


def _difference(before: str, after: str) -> str:
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    number, old, new = next((k, a, b) for k, (a, b) in enumerate(pairs, 1) if a != b)
    return f"{number}: {old.strip()} -> {new.strip()}"


def survives(mutant: Mutant, part: Part) -> bool:
    """Whether the tests have nothing to say of a mutant."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (part.patience, part.patience))
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        try:
            _import_as(mutant)
            noticed = _exact() if part.uncompiled else _pytest(part.tests)
        except BaseException:  # noqa: BLE001 - anything is a notice
            noticed = True
        os._exit(noticed)
    return os.waitpid(child, 0)[1] == 0


def _import_as(mutant: Mutant) -> None:
    """Let the file be imported as the mutant's text, and Python's own copies of compiled text be left alone."""
    name = ".".join(mutant.file.relative_to(PACKAGE.parent).with_suffix("").parts)
    load = importlib.machinery.SourceFileLoader.get_code

    def get_code(self, asked):
        return compile(mutant.text, str(mutant.file), "exec") if asked == name else load(self, asked)

    importlib.machinery.SourceFileLoader.get_code = get_code


def _pytest(tests: tuple[str, ...]) -> bool:
    """Whether one of them fails."""
    pytest = importlib.import_module("pytest")
    files = [str(ROOT / "tests" / name) for name in tests]
    settings = ["--exitfirst", "--noconftest", "--override-ini=addopts=--import-mode=importlib", "-pno:cacheprovider"]
    return pytest.main([*settings, f"--rootdir={ROOT}", *files]) != 0


def _exact() -> bool:
    """Whether a check of the exact sums fails: it says so by an exception."""
    importlib.import_module("uncompiled")
    importlib.import_module("exact_sums").check()
    return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="mutants")
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--sample", type=int, help="so many of them, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    asked = parser.parse_args()

    part = PARTS[asked.part]
    if part.uncompiled:
        os.environ["NUMBA_DISABLE_JIT"] = "1"
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in IMPORTED_ONCE:
        importlib.import_module(name)

    files = [PACKAGE / name for name in part.files]
    if not all(survives(Mutant(file, file.read_text(encoding="utf-8")), part) for file in files):
        sys.exit("the tests fail of the source as it is")
    some = [mutant for file in files for mutant in mutants(file)]
    chosen = some if asked.sample is None else random.Random(asked.seed).sample(some, asked.sample)
    left = 0
    for mutant in chosen:
        if survives(mutant, part):
            left += 1
            print(f"{mutant.file.name}:{mutant.difference}", flush=True)
    print(f"{len(chosen):,} of {len(some):,} mutants, {left:,} survive")


if __name__ == "__main__":
    main()
