"""The rooms of ARCHITECTURE.md, held: who may import whom and which library, and how large things may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "logloss"
LARGEST_FILE, LONGEST_FUNCTION = 400, 60

# From left to right; a room imports only rooms to its left. Rooms that stand together do not import each other.
ARROW = (
    ("_errors", "_types"),
    ("_spec",),
    ("_formula",),
    ("_targets",),
    ("_kernels",),
    ("_backends",),
    ("losses", "linear", "siglip", "sampling", "prior"),
    ("derivatives", "metrics"),
    ("dialects",),
    ("boosting", "torch", "keras", "scorers"),
)
ALSO = {"torch": {"streaming"}}
"""What metrics of frameworks take from scoring."""
# Scoring: source → batch → partial → State → Summary → report. A report reads the Summary only.
SCORING = {
    "sources": {"_errors"},
    "evaluate": {"_errors", "_types", "_spec", "_formula", "_kernels"},
    "partial": {"_errors", "sources", "evaluate"},
    "places": {"_errors"},
    "engines": {"", "_errors", "_kernels", "sources", "evaluate", "partial", "places"},  # "": the version
    "reporting": {"", "_errors", "evaluate.summary"},
    "streaming": {"_errors", "_spec", "_backends", "_kernels", "evaluate"},
    "scored": {"_errors", "places", "sources", "evaluate", "reporting"},
    "scores": {"_errors", "sources", "engines", "evaluate", "reporting", "scored"},
    "comparing": {"_errors", "sources", "engines", "evaluate", "reporting", "scores"},
    "segmenting": {"_errors", "evaluate", "reporting", "scores"},
    "explaining": {"_errors", "losses", "dialects", "sources", "reporting"},
    "pushdown": {"_errors", "_kernels", "evaluate", "sources", "scored"},
    "arguments": {"_parser", "engines", "pushdown", "reporting"},
    "cli": {
        *{"", "_errors", "_kernels", "_parser"},
        *{"arguments", "scores", "comparing", "segmenting", "pushdown", "explaining", "reporting"},
    },
    "__main__": {"cli"},
}
# Libraries other than Python's own and NumPy, and the only rooms that name them.
LIBRARIES = {
    "numba": {"_kernels"},
    "llvmlite": {"_kernels"},
    "duckdb": {"sources"},
    "polars": {"pushdown", "sources", "reporting.frames", "scored"},
    "backports": {"sources.packed"},
    "compression": {"sources.packed"},  # Python 3.14's
    "adbc_driver_postgresql": {"sources.databases"},
    "sqlalchemy": {"sources.databases"},
    "boto3": {"sources.stores"},
    "fsspec": {"sources.stores"},
    "obstore": {"sources.stores"},
    "msgspec": {"evaluate.documents", "evaluate.storage"},
    "dask": {"engines.dask"},
    "distributed": {"engines.dask"},
    "ray": {"engines.ray"},
    "pyspark": {"engines.spark"},
    "pyarrow": {"engines.dask", "engines.ranges", "engines.ray", "engines.spark"},
    "sqlglot": {"pushdown"},
    "rich": {"reporting", "cli"},
    "vl_convert": {"reporting"},
    "jinja2": {"reporting.page"},
    "markupsafe": {"reporting.page"},
    "torch": {"_backends.torch", "torch"},
    "triton": {"_kernels.gpu", "_backends.torch.launches"},
    "jax": {"_backends.jax"},
    "tensorflow": {"_backends.tensorflow"},
    "array_api_compat": {"_backends.array_api"},
    "keras": {"keras"},
    "catboost": {"boosting.catboost"},
    "sklearn": {"scorers"},
    "torchmetrics": {"torch.metrics"},
}
HEAVY = [
    "numba",
    "llvmlite",
    "duckdb",
    "polars",
    "rich",
    "torch",
    "jax",
    "tensorflow",
    "keras",
    "scipy",
    "pandas",
    "pyarrow",
    "ml_dtypes",
    "msgspec",
    "sklearn",
    "dask",
    "ray",
    "pyspark",
    "adbc_driver_postgresql",
    "boto3",
    "sqlalchemy",
    "fsspec",
    "obstore",
    "vl_convert",
    "jinja2",
    "xgboost",
    "lightgbm",
    "catboost",
]


class Import(NamedTuple):
    """One imported module or name: where, and its dotted path ("logloss._spec.options.Options" for a name)."""

    importer: str
    line: int
    module: str
    name: str


def module_name(path: Path) -> str:
    """ "evaluate.state" for src/logloss/evaluate/state.py; "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[Import]:
    importer = module_name(path)
    package = ["logloss", *importer.split(".")] if importer else ["logloss"]
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, node.lineno, alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(importer, node.lineno, module, alias.name)


def source_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def is_module(dotted: str) -> bool:
    """Whether "logloss.a.b" is a module or package of the tree."""
    path = PACKAGE.joinpath(*dotted.split(".")[1:])
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def target_of(found: Import) -> str:
    """The imported module within the package, "evaluate.summary" say; "" for names of the package itself."""
    dotted = f"{found.module}.{found.name}"
    return (dotted if found.name and is_module(dotted) else found.module).removeprefix("logloss").removeprefix(".")


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def allowed_rooms(importer: str) -> set[str]:
    """What the importer's room may import besides itself."""
    if importer == "":
        return {room for rooms in ARROW for room in rooms} | set(SCORING)
    if room(importer) in SCORING:
        return SCORING[room(importer)]
    for position, rooms in enumerate(ARROW):
        if room(importer) in rooms:
            return {name for left in ARROW[:position] for name in left} | ALSO.get(room(importer), set())
    raise AssertionError(f"{importer} is in no room of the arrow: place it in ARROW or SCORING, and in ARCHITECTURE.md")


def against_the_arrow(found: Import) -> str | None:
    """What is wrong with an import of the package's own modules, if anything."""
    target = target_of(found)
    if found.importer and room(target) == room(found.importer):
        return None
    allowed = allowed_rooms(found.importer)
    if target not in allowed and room(target) not in allowed:
        return f"{found.importer or '__init__'}:{found.line} imports {target or 'logloss'} to its right"
    hidden = [part for part in target.split(".")[1:] if part.startswith("_")]
    private = found.name.startswith("_") and not found.name.startswith("__")
    if hidden or (private and not is_module(f"{found.module}.{found.name}")):
        return f"{found.importer or '__init__'}:{found.line} reaches into another room: {target}.{found.name}"
    return None


def is_own(found: Import) -> bool:
    return found.module == "logloss" or found.module.startswith("logloss.")


def foreign_library(found: Import) -> str | None:
    """The third-party library of an import, if its room may not name it."""
    library = found.module.split(".")[0]
    if is_own(found) or library in sys.stdlib_module_names or library == "numpy":
        return None
    at_home = any(
        found.importer == home or found.importer.startswith(f"{home}.") for home in LIBRARIES.get(library, ())
    )
    return None if at_home else library


def all_imports() -> list[Import]:
    return [found for path in source_files() for found in imports_of(path)]


def test_imports_point_left():
    assert [wrong for found in all_imports() if is_own(found) and (wrong := against_the_arrow(found))] == []


def test_libraries_stay_in_their_rooms():
    assert [
        f"{found.importer}:{found.line} imports {name}" for found in all_imports() if (name := foreign_library(found))
    ] == []


@pytest.mark.parametrize(
    ("found", "fine"),
    [
        (Import("losses", 1, "logloss._spec.terms", "terms"), True),
        (Import("_spec.terms", 1, "logloss.losses", "x"), False),
        (Import("_formula", 1, "logloss", "losses"), False),
        (Import("losses", 1, "logloss.prior", "x"), False),
        (Import("evaluate.state", 1, "logloss.evaluate.statistics", "x"), True),
        (Import("evaluate.state", 1, "logloss.sources", "x"), False),
        (Import("reporting.text", 1, "logloss.evaluate.summary", "Summary"), True),
        (Import("reporting.text", 1, "logloss.evaluate.state", "State"), False),
        (Import("losses", 1, "logloss._spec.terms", "_private"), False),
        (Import("cli", 1, "logloss.sources._polars", "x"), False),
    ],
)
def test_the_arrow_can_fail(found: Import, fine: bool):
    assert (against_the_arrow(found) is None) == fine


def test_an_unplaced_room_is_noticed():
    with pytest.raises(AssertionError, match="no room"):
        allowed_rooms("newcomer")


@pytest.mark.parametrize(("importer", "fine"), [("_kernels.cpu", True), ("_formula", False), ("_kernelsque", False)])
def test_the_library_rule_can_fail(importer: str, fine: bool):
    assert (foreign_library(Import(importer, 1, "numba.core", "types")) is None) == fine


def test_the_parser_resolves_relative_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "evaluate").mkdir()
    (tmp_path / "evaluate" / "state.py").write_text(
        "from .._kernels import exact\nfrom . import summary\nimport os.path\n"
    )
    found = list(imports_of(tmp_path / "evaluate" / "state.py"))
    assert [(one.module, one.name) for one in found] == [
        ("logloss._kernels", "exact"),
        ("logloss.evaluate", "summary"),
        ("os.path", ""),
    ]


@pytest.mark.parametrize("library", HEAVY)
def test_import_loads_nothing_heavy(library: str, loaded_by_import: set[str]):
    assert library not in loaded_by_import


@pytest.fixture(scope="module")
def loaded_by_import() -> set[str]:
    """The top-level modules in a new process after `import logloss`."""
    code = "import sys, logloss; dir(logloss); print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "logloss" in loaded
    return loaded


def python_files() -> list[Path]:
    return [path for folder in ("src", "tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    """Functions whose body, docstring apart, is longer than the limit."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            if body and (length := (body[-1].end_lineno or 0) - body[0].lineno + 1) > LONGEST_FUNCTION:
                yield node.name, length


def test_files_and_functions_stay_small():
    sources = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in python_files()}
    assert {str(path): lines for path, text in sources.items() if (lines := text.count("\n")) > LARGEST_FILE} == {}
    assert {str(path): long for path, text in sources.items() if (long := list(long_functions(text)))} == {}


def test_the_length_rule_can_fail():
    short, long = (
        "def f():\n" + "    pass\n" * LONGEST_FUNCTION,
        "def f():\n    'Doc.'\n" + "    pass\n" * (LONGEST_FUNCTION + 1),
    )
    assert list(long_functions(short)) == []
    assert list(long_functions(long)) == [("f", LONGEST_FUNCTION + 1)]


def test_every_test_folder_is_collected():
    """A test file under a name that pytest does not collect would never run."""
    helpers = {"conftest.py", "oracle.py"}
    strays = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if not path.name.startswith("test_") and path.name not in helpers
    ]
    assert [str(path.relative_to(ROOT)) for path in strays if "def test_" in path.read_text(encoding="utf-8")] == []
