"""How text is to be read where its content does not tell: what a person may say of separators and the like."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import InvalidInputError

FORMATS = {
    "csv": "CSV",
    "tsv": "TSV",
    "json": "JSON lines",
    "parquet": "Parquet",
    "arrow": "Arrow IPC",
}
"""Names of formats for `format_in`, and what messages call them."""

ENCODINGS = ("utf-8", "latin-1", "utf-16")
_SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " "}
_NO_QUOTES = ("", "none")


@dataclass(frozen=True)
class Reading:
    """What a person said of the files; what is None or empty is found out from their content."""

    separator: str | None = None
    decimal: str = "."
    null: tuple[str, ...] = ()
    encoding: str | None = None
    header: bool = True
    quote: str | None = None  # "": there are no quotes
    format: str | None = None

    @classmethod
    def of(
        cls,
        *,
        separator: str | None = None,
        decimal: str | None = None,
        null: str | Sequence[str] | None = None,
        encoding: str | None = None,
        header: bool = True,
        quote: str | None = None,
        format_in: str | None = None,
    ) -> Reading:
        """Options as `score` takes them. Raises InvalidInputError for a value that is none of an option's."""
        texts = tuple(null) if isinstance(null, (list, tuple)) else () if null is None else (null,)
        for text in texts:
            _require_text("null", text)
        if separator is not None:
            separator = _SEPARATORS.get(separator, separator)
            _require_character("separator", separator, "such as ';', or 'tab'")
        if quote is not None:
            quote = "" if quote in _NO_QUOTES else quote
            if quote:
                _require_character("quote", quote, "such as \"'\", or 'none'")
        decimal = _one_of("decimal", decimal or ".", (".", ","))
        if decimal == separator:
            raise InvalidInputError(
                "separator and decimal must be different characters; both are ','; name the separator."
            )
        return cls(
            separator,
            decimal,
            texts,
            None if encoding is None else _one_of("encoding", _encoding(encoding), ENCODINGS),
            bool(header),
            quote,
            None if format_in is None else FORMATS[_one_of("format_in", format_in, tuple(FORMATS))],
        )

    @classmethod
    def among(cls, options: dict[str, Any]) -> Reading:
        """What options say, those that `of` takes, of which none is left among them."""
        names = inspect.signature(cls.of).parameters
        return cls.of(**{name: options.pop(name) for name in names if name in options})


AS_FOUND = Reading()
"""Nobody said anything."""


def _encoding(name: Any) -> Any:
    """A usual spelling of an encoding's name."""
    plain = str(name).lower().replace("_", "-")
    return {"utf8": "utf-8", "latin1": "latin-1", "iso-8859-1": "latin-1", "utf16": "utf-16"}.get(plain, plain)


def _one_of(name: str, value: Any, known: Sequence[str]) -> str:
    if value not in known:
        raise InvalidInputError(f"{name} must be one of {', '.join(map(repr, known))}; got {value!r}; choose one.")
    return str(value)


def _require_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be text; got {type(value).__name__}; write it in quotes.")


def _require_character(name: str, value: Any, examples: str) -> None:
    _require_text(name, value)
    if len(value) != 1 or not value.isascii() or value in "\r\n":
        raise InvalidInputError(f"{name} must be one character, {examples}; got {value!r}; choose one.")
