"""The door: the names that `logloss` exports, and that each is documented down to its last argument."""

from __future__ import annotations

import argparse
import importlib
import importlib.resources
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import logloss
from logloss._spec.options import ToOneNumber, Unreduced
from logloss._spec.reductions import REDUCTIONS

FUNCTIONS = [name for name in logloss.__all__ if inspect.isfunction(getattr(logloss, name))]
CLASSES = [name for name in logloss.__all__ if inspect.isclass(getattr(logloss, name))]
NO_MATHEMATICS = {"set_num_threads"}  # nothing to refer to
SECTIONS = ("Args", "Returns", "Raises", "Example", "Reference")


def modules_with_a_door() -> list[str]:
    """Every module of the package whose dotted name has no leading underscore in any part."""
    names = [info.name for info in pkgutil.walk_packages(logloss.__path__, "logloss.")]
    return ["logloss", *(name for name in names if not any(part.startswith("_") for part in name.split(".")))]


def section(documentation: str, name: str) -> str | None:
    """The text of a docstring's section, "Example:" or "Examples:" say; None where it has none."""
    match = re.search(rf"^{name}s?:\n((?:[ \t].*\n|\n)*)", inspect.cleandoc(documentation) + "\n", re.MULTILINE)
    return match and match.group(1)


def documented_arguments(documentation: str) -> list[str]:
    return re.findall(r"^    \*{0,2}([\w, *]+?)(?: \([^)]*\))?:", section(documentation, "Args") or "", re.MULTILINE)


def undocumented(function: Any, documentation: str) -> list[str]:
    """The parameters that no entry of the Args section names ("gamma_neg, gamma_pos: …" names both)."""
    entries = documented_arguments(documentation)
    named = {name.strip(" *") for entry in entries for name in entry.split(",")}
    return [name for name in inspect.signature(function).parameters if name not in named and name != "self"]


def test_exports_are_the_visible_names():
    visible = [name for name in dir(logloss) if not name.startswith("_")]
    assert sorted(logloss.__all__) == list(logloss.__all__)
    assert set(logloss.__all__) == {name for name in visible if not inspect.ismodule(getattr(logloss, name))}


def test_every_export_exists():
    assert [name for name in logloss.__all__ if not hasattr(logloss, name)] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="binary_crossentropy"):
        _ = logloss.binary_crossentropy  # type: ignore[attr-defined]


def test_exports_say_where_users_find_them():
    assert {
        name for name in FUNCTIONS + CLASSES if not getattr(logloss, name).__module__.startswith("logloss")
    } == set()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_documented(name: str):
    function = getattr(logloss, name)
    documentation = inspect.getdoc(function) or ""
    summary = documentation.partition("\n\n")[0]
    assert summary.endswith("."), f"the first paragraph of {name} is no sentence: {summary!r}"
    required = [part for part in SECTIONS if part != "Reference" or name not in NO_MATHEMATICS]
    if inspect.signature(function).return_annotation in (None, "None"):
        required.remove("Returns")
    assert [part for part in required if section(documentation, part) is None] == []
    assert ">>>" in (section(documentation, "Example") or "")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_option_is_documented(name: str):
    function = getattr(logloss, name)
    assert undocumented(function, inspect.getdoc(function) or "") == []


@pytest.mark.parametrize("name", CLASSES)
def test_class_and_its_methods_are_documented(name: str):
    kind = getattr(logloss, name)
    methods = {n: m for n, m in vars(kind).items() if not n.startswith("_") and callable(getattr(m, "__func__", m))}
    assert inspect.getdoc(kind), name
    assert [method for method, value in methods.items() if not inspect.getdoc(getattr(value, "__func__", value))] == []


def test_the_documentation_rules_can_fail():
    def half_documented(logits: object, *, gamma: float, **options: object) -> None:
        """Do it.

        Args:
            logits: any shape.
        """

    documentation = inspect.getdoc(half_documented) or ""
    assert undocumented(half_documented, documentation) == ["gamma", "options"]
    assert section(documentation, "Raises") is None
    assert section(documentation, "Args") == "    logits: any shape.\n"


@pytest.mark.frameworks
@pytest.mark.parametrize("module", modules_with_a_door())
def test_module_says_what_it_is(module: str):
    assert (importlib.import_module(module).__doc__ or "").strip()


def test_package_is_typed():
    assert importlib.resources.files("logloss").joinpath("py.typed").is_file()


def parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """A parser and those of its subcommands."""
    found = [parser]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [inner for choice in action.choices.values() for inner in parsers(choice)]
    return found


def test_every_command_line_option_has_help():
    from logloss import arguments

    everything = parsers(arguments.parser())
    assert len(everything) > 1
    assert [(one.prog, action.dest) for one in everything for action in one._actions if not action.help] == []


@pytest.mark.frameworks
def test_what_others_build_on_does_not_change_unannounced(monkeypatch: pytest.MonkeyPatch):
    """Names, parameters, options, exit codes, the JSON schema and the format of states: all is recorded."""
    import surface
    from logloss.evaluate import storage

    recorded = Path(__file__).parents[1] / "docs" / "surface.json"
    told = "was this meant? PYTHONPATH=tests python -m surface > docs/surface.json, and a line in CHANGELOG.md"
    assert surface.written() == recorded.read_text(encoding="utf-8"), told
    monkeypatch.setattr(storage, "VERSIONS", (1, 2, 3))
    assert surface.written() != recorded.read_text(encoding="utf-8")


def test_schemas_may_be_described_anew_but_not_changed():
    import surface

    schema = {"type": "object", "description": "a", "properties": {"description": {"type": "string"}}}
    assert surface.digest(schema) == surface.digest({**schema, "description": "b"})
    assert surface.digest(schema) != surface.digest({**schema, "properties": {}})


def test_type_checkers_know_the_reductions():
    one = get_args(get_type_hints(ToOneNumber)["reduction"])
    none = get_args(get_type_hints(Unreduced)["reduction"])
    assert sorted(one + none) == sorted(REDUCTIONS)
