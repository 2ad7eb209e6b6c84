"""The format of saved states as types, for a decoder that refuses everything else before any of it is used."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=2**53)]
Sum = Annotated[str, Meta(pattern=r"^-?[0-9a-f]{1,561}p-?[0-9]{1,4}$", max_length=568)]
"""Hexadecimal digits and a power of two; 561 digits hold any sum."""

Number = dict[Annotated[str, Meta(pattern="^number$")], Annotated[str, Meta(pattern="^-?inf$")]]
Value = int | bool | float | str | Number | None


class MomentCell(msgspec.Struct):
    """The moments of a problem in a group."""

    counts: Annotated[list[Count], Meta(min_length=4, max_length=4)]
    overflowed: Annotated[list[str], Meta(max_length=64)]
    sums: dict[str, Sum]


class PlacedCell(MomentCell):
    """The same with its place, as the file has it."""

    problem: Annotated[int, Meta(ge=0, lt=2**31)]
    group: list[Value]


Word = Annotated[int, Meta(ge=-(2**62), le=2**62)]
Owner = Annotated[int, Meta(ge=0, lt=2**40)]


class Records(msgspec.Struct, forbid_unknown_fields=True):
    """Records of integer sums, a list for each of their columns."""

    owners: list[Owner]
    places: list[Annotated[int, Meta(ge=0, lt=2**15)]]
    scales: list[Annotated[int, Meta(ge=-(2**8), lt=2**8)]]
    words: Annotated[list[list[Word]], Meta(max_length=16)]


class GridBins(msgspec.Struct, forbid_unknown_fields=True):
    """The bins of a problem."""

    soft: bool
    whole: Records
    groups: Records | None


class Buckets(msgspec.Struct, forbid_unknown_fields=True):
    """The buckets of a problem."""

    soft: bool
    bins: Records
    losses: Records
    groups: Records | None


class PairedSums(msgspec.Struct, forbid_unknown_fields=True):
    """The sums of a pair of models."""

    soft: bool
    joint: Records
    sums: Records


class Crossed(msgspec.Struct, forbid_unknown_fields=True):
    """The bins of a problem in every intersection."""

    soft: bool
    bins: Records


class Intersections(msgspec.Struct, forbid_unknown_fields=True):
    """The values of the columns of segments that met, and what every problem has for them."""

    keys: list[list[Value]]
    problems: list[Crossed]


class Problem(msgspec.Struct, forbid_unknown_fields=True):
    """A column of predictions for a column of targets."""

    target: str
    prediction: str
    model: str | None = None
    label: str | None = None
    weight: str | None = None
    shift: Annotated[float, Meta(ge=-1000, le=1000)] = 0.0


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    """What was computed."""

    problems: Annotated[list[Problem], Meta(min_length=1)]
    logits: bool = False
    weight: str | None = None
    groups: list[str] = []
    where: str | None = None
    drop_missing: bool = False
    drop_invalid: bool = False
    eps: Annotated[float, Meta(gt=0, le=0.5)] | None = None
    definitions: str | None = None
    outcomes: str | None = None
    components: Annotated[list[str], Meta(min_length=1, max_length=16)] = msgspec.field(
        default_factory=lambda: ["moments"]
    )
    cluster: str | None = None
    segments: list[str] = []
    weight_kind: str = "importance"


class Dropped(msgspec.Struct):
    """Rows left out, by reason."""

    missing: Count
    invalid: Count
    ignored: Count = 0


class DroppedWeight(msgspec.Struct):
    """Their weight."""

    missing: Sum = "0p0"
    invalid: Sum = "0p0"
    ignored: Sum = "0p0"


class Head(msgspec.Struct):
    """What tells whether the rest can be read."""

    format: Any = ""
    version: Any = None


class State(msgspec.Struct):
    """A whole file."""

    sources: list[str]
    plan: Plan
    dropped: Dropped
    cells: list[PlacedCell]
    dropped_weight: DroppedWeight = msgspec.field(default_factory=DroppedWeight)  # since the first version 1
    clipped: Count = 0
    rows: Count | None = None  # where labels have gaps
    joined: dict[Annotated[str, Meta(pattern="^(matched|only_in_predictions|only_in_labels)$")], Count] = {}
    components: dict[str, msgspec.Raw] = {}


def decode(content: bytes, kind: Any) -> Any:
    """The content as this type. Raises ValueError, which says where it is another."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
