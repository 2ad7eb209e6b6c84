"""From what a person writes for files to the files meant: directories, quoted globs, lists, and standard input."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeVar

from .._errors import InvalidInputError
from . import stores, urls
from .found import READABLE, Found, format_of_name, found_of, shown
from .stores import Remote

_AT_ONCE = 32
"""Files elsewhere that are asked for at once: for most of a request's time nothing is to be done here."""


def find_files(texts: Sequence[str], format_in: str | None = None) -> tuple[Found, ...]:
    """The files that these texts mean, in order, and the format of all if that is given.

    Raises InvalidInputError if one of them means none, a file that cannot be read, or one that another means.
    """
    paths = [path for text in texts for path in _expand(text)]
    require_different(paths)
    found = tuple(each(found_of, paths, not all(path is None or isinstance(path, Path) for path in paths)))
    return found if format_in is None else tuple(replace(one, format=_given(one, format_in)) for one in found)


_One = TypeVar("_One")
_Other = TypeVar("_Other")


def each(function: Callable[[_One], _Other], files: Sequence[_One], elsewhere: bool) -> Iterator[_Other]:
    """The function of every file, in order; of files that are elsewhere many at once, since most of it is waiting."""
    if not elsewhere:
        yield from map(function, files)
        return
    with ThreadPoolExecutor(_AT_ONCE, "logloss-store") as pool:
        yield from pool.map(function, files)


def require_different(paths: Sequence[Path | Remote | None]) -> None:
    """Refuse a file that is named twice, by whatever paths and links: it may be there for another one."""
    seen: dict[str | None, str] = {}
    for path in paths:
        name = "standard input" if path is None else shown(path) if isinstance(path, Path) else urls.public(path.url)
        identity = _identity(path)
        if identity in seen:
            what = f"{name} is named twice" if name == seen[identity] else f"{seen[identity]} and {name} are the same"
            raise InvalidInputError(f"every file must be named once, as its rows count once; {what}; leave one out.")
        seen[identity] = name


def _identity(path: Path | Remote | None) -> str | None:
    """What is the same for paths of one file. Hard links are files of their own: none of them stands for another."""
    if isinstance(path, Path):
        return os.path.realpath(path)
    return None if path is None else path.url


def _given(found: Found, format_in: str) -> str:
    """The format that a person names; of Arrow's two, files and streams tell which by themselves."""
    return found.format if format_in == "Arrow IPC" and found.format == "Arrow stream" else format_in


def _expand(text: str, lists: tuple[str, ...] = ()) -> Iterator[Path | Remote | None]:
    """The paths that one text means; None stands for standard input. `lists` names the lists that it stands in."""
    if text in ("", "@"):
        raise InvalidInputError(f"a file must have a name; got {text!r}.")
    path = Path(text)
    if urls.is_remote(text):
        yield from _elsewhere(text)
    elif text == "-":
        yield None
    elif path.is_dir():
        yield from _within(path)
    elif path.exists():
        yield path
    elif text in lists:
        raise InvalidInputError(f"a list of files must not name itself; {shown(Path(text[1:]))} does; leave it out.")
    elif text.startswith("@"):
        for line in _lines(Path(text[1:])):
            yield from _expand(line, (*lists, text))
    elif glob.has_magic(text):
        yield from _matching(text)
    else:
        raise InvalidInputError(f"there is no file {shown(path)}; check the path.")


def _within(directory: Path) -> list[Path]:
    paths = [path for path in sorted(directory.rglob("*")) if _is_data(path.relative_to(directory)) and path.is_file()]
    if not paths:
        raise _without_data(shown(directory))
    return paths


def _elsewhere(url: str) -> Iterator[Remote]:
    """The files that a URL means."""
    one, several = stores.find(url)
    if one is not None:
        yield one
        return
    found = [path for name, path in several if not name or _is_data(PurePosixPath(name))]
    if not found and (several or url.endswith("/")):
        raise _without_data(url)
    if not found:
        raise InvalidInputError(f"there is no object {url}, and none that it means; check the address.")
    yield from found


def _is_data(path: PurePath) -> bool:
    """Whether a name below a directory is one of data, and no part of it starts with a dot or underscore.

    Spark and others leave such files beside data, and name text "part-…".
    """
    hidden = any(part.startswith((".", "_")) for part in path.parts)
    return not hidden and bool(format_of_name(path) or re.fullmatch("part-[^.]*", path.name))


def _without_data(directory: str) -> InvalidInputError:
    return InvalidInputError(f"directory {directory} must hold files that end in {READABLE}; it has none.")


def _matching(pattern: str) -> Iterator[Path]:
    """The files that a pattern means, each once, though it may mean a directory and what is in it."""
    yield from dict.fromkeys(_matches(pattern))


def _matches(pattern: str) -> Iterator[Path]:
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
    if not matches:
        raise InvalidInputError(f"no file matches {pattern}; check the pattern.")
    for match in matches:
        if Path(match).is_dir():
            yield from _within(Path(match))
        else:
            yield Path(match)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"the list of files {shown(path)} cannot be read ({error}); check the path.") from error
    lines = [line.strip() for line in lines if line.strip()]
    if not lines:
        raise InvalidInputError(f"the list of files {shown(path)} must name a file; it is empty.")
    return lines
