"""The options that every loss takes, each described once.

Whoever needs a list of them (signatures, the operators of traced code, modules) derives it from `FIELDS`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Required, TypedDict, TypeVar, get_type_hints

import numpy as np

from .._errors import InvalidInputError

Kind = Literal["real", "boolean", "number", "static"]
"""Arrays of real numbers or of booleans; one number, which may be traced and learnt; or what code is compiled for."""


class Option(NamedTuple):
    """What must be known of an option besides its name."""

    default: Any
    kind: Kind
    schema: str = ""  # the type of a static option in the signature of an operator
    elementwise: bool = True  # does it change what an element costs, or whether it counts?
    weighs: bool = True  # is it part of the weight that "weighted_mean" divides by?
    of_batch: bool = False  # does it come with the data, and not with the loss?


SIGNED: dict[Any, str] = {True: "signed", "now": "signed now"}
"""What `validate` becomes in functions whose framework takes weights of elements that are negative."""


def is_validation(value: Any) -> bool:
    """Is it a value of `validate`?"""
    return isinstance(value, bool | np.bool_) or (isinstance(value, str) and value in ("now", *SIGNED.values()))


def switch(name: str, value: Any) -> bool:
    """A setting that is on or off: text that says so would be on whatever it says."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidInputError(f"{name} must be True or False; got {value!r:.60}. Leave it out for the default.")
    return bool(value)


def is_signed(validate: Any) -> bool:
    """May the weights of elements be negative?"""
    return isinstance(validate, str) and validate in SIGNED.values()


class ElementOptions(TypedDict, total=False):
    """What changes an element's loss, or whether it counts (docs/options.md)."""

    pos_weight: Annotated[Any, Option(None, "real", weighs=False)]
    weight: Annotated[Any, Option(None, "real")]
    sample_weight: Annotated[Any, Option(None, "real", of_batch=True)]
    label_weight: Annotated[Any, Option(None, "real")]
    label_axis: Annotated[int, Option(-1, "static", "int")]
    label_smoothing: Annotated[Any, Option(0.0, "number", weighs=False)]
    ignore_index: Annotated[float | None, Option(None, "static", "float?")]
    mask: Annotated[Any, Option(None, "boolean", of_batch=True)]
    validate: Annotated[bool | str, Option(True, "static", "str", elementwise=False)]


class LossOptions(ElementOptions, total=False):
    """What every loss takes."""

    axis: Annotated[int | tuple[int, ...] | None, Option(None, "static", "int[]?", elementwise=False)]
    reduction: Annotated[str, Option("mean", "static", "str", elementwise=False)]
    normalizer: Annotated[Any, Option(None, "real", elementwise=False, of_batch=True)]


# What says whether the result is an array. Editors and type checkers read this; values are checked elsewhere.


class Unreduced(ElementOptions, total=False):
    """A loss for every element."""

    reduction: Required[Literal["none"]]


class AlongAxes(ElementOptions, total=False):
    """A loss for every row, or label."""

    axis: Required[int | tuple[int, ...]]
    reduction: str
    normalizer: Any


class ToOneNumber(ElementOptions, total=False):
    """One loss."""

    axis: None
    reduction: Literal["mean", "sum", "weighted_mean", "batchmean"]
    normalizer: Any


FIELDS: dict[str, Option] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(LossOptions, include_extras=True).items()
}
ELEMENTWISE = frozenset(name for name, option in FIELDS.items() if option.elementwise)
ARRAYS = tuple(name for name, option in FIELDS.items() if option.kind in ("real", "boolean"))
STATIC = tuple(name for name, option in FIELDS.items() if option.kind == "static")
VARYING = tuple(name for name, option in FIELDS.items() if option.kind != "static")
"""The options whose values may differ from call to call of one compiled function."""


class Options:
    """The options of one call: what was given, in `__dict__`; of all others the default is the class's attribute."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, **given: Any) -> None:
        self.__dict__ = given

    @property
    def given(self) -> dict[str, Any]:
        """The options that the caller named."""
        return self.__dict__

    @property
    def arrays(self) -> dict[str, Any]:
        """Those that are something other than a number or a name: they may belong to a framework."""
        return {name: value for name, value in self.__dict__.items() if name in _ARRAYS and not _is_plain(value)}

    def replace(self, **changes: Any) -> Options:
        """The same options but for these."""
        return Options(**{**self.__dict__, **changes})

    def without(self, names: frozenset[str] | set[str]) -> Options:
        """The same options but for these, which have their defaults."""
        return Options(**{name: value for name, value in self.__dict__.items() if name not in names})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(frozenset(self.__dict__.items()))

    def __repr__(self) -> str:
        return f"Options({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


for _name, _option in FIELDS.items():
    setattr(Options, _name, _option.default)

DEFAULTS = Options()
_ARRAYS = frozenset(ARRAYS)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def given_options(values: Mapping[str, Any]) -> Options:
    """The options among these values that differ from their defaults."""
    return Options(**{name: value for name, value in values.items() if value is not FIELDS[name].default})


_F = TypeVar("_F", bound=Callable[..., Any])


def signed(function: _F) -> _F:
    """Show every option in the signature of a function that takes `**options`."""
    signature = inspect.signature(function)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    hints = get_type_hints(LossOptions)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=hints[name])
        for name, option in FIELDS.items()
    ]
    function.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return function
