"""Group columns of states that were made of different files: they agree where one run over these files would agree.

Text files have texts for groups, and a Parquet file beside them has whole numbers: within one run 1 is then "1", and so
it is where their states are added.
"""

from __future__ import annotations

from .._errors import InvalidInputError
from .groups import Groups, Values


def agreed(mine: Groups, theirs: Groups, names: tuple[str, ...]) -> tuple[Groups, Groups]:
    """The groups of two states with the same numbers as before, and with texts where one of them has texts.

    Raises InvalidInputError for a column of texts in one and of other values than whole numbers in the other.
    """
    if not (len(mine) and len(theirs)):
        return mine, theirs
    both = [[groups.values(at) for at in range(len(names))] for groups in (mine, theirs)]
    texts: list[set[int]] = [set(), set()]
    for at, (name, *columns) in enumerate(zip(names, *both, strict=True)):
        for side, (one, other) in enumerate((columns, columns[::-1])):
            if other.texts and not one.texts and other.is_text() and not one.missing().all():
                _require_whole(name, one)
                texts[side].add(at)
    return _with_texts(mine, texts[0]), _with_texts(theirs, texts[1])


def _require_whole(name: str, column: Values) -> None:
    if column.number is not int:
        kind = "truth values" if column.number is bool else "numbers with decimals"
        raise InvalidInputError(
            f"groups must be of one type in all states; those of {name!r} are texts in one and {kind} in another; "
            "convert one of the sources."
        )


def _with_texts(groups: Groups, columns: set[int]) -> Groups:
    """The groups with the texts of the numbers in these columns: as many, since different numbers differ as texts."""
    if not columns:
        return groups
    keys = groups.keys()
    found = Groups(len(keys[0]))
    as_text = [
        tuple(str(value) if at in columns and value is not None else value for at, value in enumerate(key))
        for key in keys
    ]
    found.of_keys(as_text)
    return found
