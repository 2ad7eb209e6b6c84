"""A person's SQL: one condition, or expressions with names, about the columns of one row and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import InvalidInputError
from . import engine

_NAMED = re.compile(r'\s*(?:"(?P<quoted>[^"]+)"|(?P<plain>[A-Za-z_]\w*))\s*=(?!=)')
_GROUPS = "\"country, band = case when age < 30 then 'young' else 'old' end\""
_QUERIES = ("SUBQUERY", "WINDOW", "STAR", "PARAMETER")
_ALONE: dict[str, Any] = {
    "cte_map": {"map": []},
    "modifiers": [],
    "where_clause": None,
    "group_expressions": [],
    "having": None,
}
_ALONE |= {"qualify": None, "sample": None}


@dataclass(frozen=True)
class Expression:
    """SQL about these columns, and what its values are called."""

    name: str
    text: str
    columns: tuple[str, ...]


def condition(text: Any) -> Expression:
    """A condition. Raises InvalidInputError if the text is none, or is about more than the columns of one row."""
    if not isinstance(text, str):
        raise InvalidInputError(f"a condition must be SQL; got {type(text).__name__}; filter the table itself.")
    what = "a condition"
    trees = _trees(what, text, "\"year >= 2016 and country = 'SE'\"")
    if len(trees) != 1 or trees[0]["alias"]:
        raise InvalidInputError(f"{what} must be one; {text!r} is more; join conditions by AND or OR.")
    return Expression("", text, _columns(what, text, trees[0]))


def group_by(given: Any, columns: Sequence[str]) -> tuple[Any, tuple[Expression, ...]]:
    """The names of groups, and the expressions among them, as in "country, old = age >= 65"."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        return given, ()  # whoever makes the plan says what is wrong
    parts = [part for text in texts for part in _parts(text, columns)]
    names = [part if isinstance(part, str) else part.name for part in parts]
    return names, tuple(part for part in parts if isinstance(part, Expression))


def once(found: Sequence[Expression]) -> tuple[Expression, ...]:
    """Each expression once, though it be named for several purposes. Raises InvalidInputError for two of one name."""
    by_name: dict[str, Expression] = {}
    for one in found:
        if (known := by_name.setdefault(one.name, one)) != one:
            raise InvalidInputError(
                f"a name must stand for one expression; {one.name!r} is {known.text} and {one.text}; change one."
            )
    return tuple(by_name.values())


def _parts(text: str, columns: Sequence[str]) -> list[str | Expression]:
    pieces = text.split(",")
    if text in columns:
        return [text]
    if all(piece in columns for piece in pieces) or not any(mark in text for mark in "=("):
        return list(pieces)
    found: list[str | Expression] = []
    start = 0
    while start < len(pieces):  # a comma within an expression is told by that it parses only as a whole
        ends = range(start + 1, len(pieces) + 1)
        end = next((end for end in ends if _parsed(_NAMED.sub("", ",".join(pieces[start:end])))), len(pieces))
        found.append(_named(",".join(pieces[start:end]), columns))
        start = end
    return found


def _named(text: str, columns: Sequence[str]) -> str | Expression:
    """A column, or "name = expression"; "expression as name" is the same."""
    what = "a group"
    named = _NAMED.match(text)
    trees = _trees(what, text[named.end() :] if named else text, _GROUPS)
    tree = trees[0]
    if named is None and tree["class"] == "COLUMN_REF" and not tree["alias"] and len(tree["column_names"]) == 1:
        return str(tree["column_names"][0])
    name = named["quoted"] or named["plain"] if named else tree["alias"]
    if not name or len(trees) > 1:
        raise InvalidInputError(
            f"a group that is an expression must have a name; {text.strip()!r} has none; write name = expression."
        )
    if name in columns:
        raise InvalidInputError(f"a group that is an expression must have a new name; {name!r} is a column; change it.")
    return Expression(str(name), _written(tree), _columns(what, text, tree))


def _answer(text: str) -> dict[str, Any]:
    """What the engine's parser makes of SELECT text: the statements, or an error."""
    with engine.opened(locked=True) as connection:
        query = engine.fetch(connection, f"SELECT json_serialize_sql({engine.literal(f'SELECT {text}' + chr(10))})")
    answer: dict[str, Any] = json.loads(query[0][0])
    return answer if text.strip() else {"error": True, "error_message": "it is empty"}


def _parsed(text: str) -> dict[str, Any] | None:
    """The parsed query SELECT text; None if it is none."""
    answer = _answer(text)
    return None if answer["error"] else answer


def _trees(what: str, text: str, example: str) -> list[dict[str, Any]]:
    """The parsed expressions, of which there must be nothing but a list."""
    parsed = _answer(text)
    if parsed["error"]:
        raise InvalidInputError(
            f"{what} must be SQL, as in {example}; {text!r} is not ({parsed['error_message']}); "
            'put names that SQL uses itself in double quotes, as in "group".'
        )
    node = parsed["statements"][0]["node"] if len(parsed["statements"]) == 1 else {}
    alone = node.get("type") == "SELECT_NODE" and node["from_table"]["type"] == "EMPTY"
    if not alone or any(node.get(name, empty) != empty for name, empty in _ALONE.items()):
        raise _foreign(what, text, "a query")
    return list(node["select_list"])


def _foreign(what: str, text: str, found: str) -> InvalidInputError:
    return InvalidInputError(f"{what} must be about the columns of one row; {text!r} has {found} in it; leave it out.")


def _columns(what: str, text: str, tree: Any) -> tuple[str, ...]:
    """The columns that an expression names, at least one; anything that reaches beyond a row is refused."""
    found, own = [], set()
    for node in _nodes(tree):
        if node.get("class") in _QUERIES:
            raise _foreign(what, text, {"SUBQUERY": "a query"}.get(node["class"], node["class"].lower()))
        if node.get("class") == "LAMBDA":
            own |= {name for one in _nodes(node["lhs"]) for name in one.get("column_names", ())}
        if node.get("class") == "COLUMN_REF":
            found.append(str(node["column_names"][0]))
    columns = tuple(dict.fromkeys(name for name in found if name not in own))
    if not columns:
        raise InvalidInputError(f"{what} must be about the columns of one row; {text.strip()!r} names none; name one.")
    return columns


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(part)


def _written(tree: dict[str, Any]) -> str:
    """A parsed expression as SQL."""
    with engine.opened(locked=True) as connection:
        query = _answer("1")
        query["statements"][0]["node"]["select_list"] = [tree | {"alias": ""}]
        text = engine.fetch(connection, f"SELECT json_deserialize_sql({engine.literal(json.dumps(query))})")
    return str(text[0][0]).removeprefix("SELECT ")
