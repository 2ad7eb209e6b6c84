"""What others build on, derived from the code: `PYTHONPATH=tests python -m surface > docs/surface.json`.

Names with their parameters, commands with their options, exit codes, the JSON schema and the format of saved states.
Whoever changes it records it anew, and says so in the changelog (docs/stability.md).
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import sys
from typing import Any

import msgspec

from logloss import cli
from logloss.evaluate import documents, storage
from logloss.reporting import schema, schemas
from test_public_surface import parsers

MODULES = ("logloss", "logloss.boosting", "logloss.keras", "logloss.scorers", "logloss.streaming", "logloss.torch")
DIALECTS = ("boosting", "caffe", "keras", "optax", "pytorch", "sklearn", "tensorflow")


def parameters(thing: Any) -> str:
    """The names of the parameters, and which may be given by position; without types and defaults."""
    if isinstance(thing, type) and issubclass(thing, Exception):
        return "message"
    found, named = [], False
    for one in inspect.signature(thing).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not named:
            found, named = [*found, "*"], True
        prefix = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        found, named = [*found, prefix + one.name], named or prefix == "*"
    return ", ".join(found)


def names(module: str) -> dict[str, str]:
    """The public names of a module with their parameters."""
    home = importlib.import_module(module)
    public = {name: getattr(home, name) for name in home.__all__}
    methods = {
        f"{name}.{method}": getattr(one, method)
        for name, one in public.items()
        if isinstance(one, type)
        for method, value in vars(one).items()
        if method[0] != "_" and callable(getattr(value, "__func__", value))
    }
    return {name: parameters(one) for name, one in sorted({**public, **methods}.items()) if callable(one)}


def dialect(module: str) -> list[str]:
    """The functions and classes of a dialect."""
    home = importlib.import_module(f"logloss.dialects.{module}")
    return sorted(name for name, one in vars(home).items() if name[0] != "_" and _is_dialect(one, home.__name__))


def _is_dialect(one: Any, module: str) -> bool:
    return hasattr(one, "value_and_grad") and getattr(one, "__module__", "") == module


def digest(schema: Any) -> str:
    """A short hash of a schema; its descriptions are free to change."""
    return hashlib.sha256(json.dumps(_bare(schema), sort_keys=True).encode()).hexdigest()[:16]


def _bare(schema: Any) -> Any:
    if isinstance(schema, dict):
        texts = {name for name, value in schema.items() if name == "description" and isinstance(value, str)}
        return {name: _bare(value) for name, value in schema.items() if name not in texts}
    return [_bare(one) for one in schema] if isinstance(schema, list) else schema


def surface() -> dict[str, Any]:
    """All of it as plain data."""
    commands = {
        one.prog: sorted(text for a in one._actions for text in a.option_strings) for one in parsers(cli.parser())
    }
    codes = ("DONE", "GATE_FAILED", "USAGE", "INTERNAL", "INTERRUPTED")
    return {
        "names": {module: names(module) for module in MODULES},
        "dialects": {module: dialect(module) for module in DIALECTS},
        "commands": commands,
        "exit codes": {name.lower(): getattr(cli, name) for name in codes},
        "JSON": {
            "version": schema.SCHEMA_VERSION,
            "schema": digest(schema.schema()),
            **{
                name: {"version": one[0], "schema": digest(schemas.schema(name))}
                for name, one in schemas.SCHEMAS.items()
            },
        },
        "states": {
            "format": storage.FORMAT,
            "versions": list(storage.VERSIONS),
            "schema": digest(msgspec.json.schema(documents.State)),
        },
    }


def written() -> str:
    """The content of docs/surface.json."""
    return json.dumps(surface(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(written())
