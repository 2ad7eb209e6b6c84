"""The documentation site: `python docs/build.py` writes it to build/docs/site, ready to be opened or served.

Its pages are the Markdown files that are read on GitHub too, at other places: docs/ is the root of the site, and links
are mended for that. Pages on the API and on the commands are made here, from docstrings and from the parser's own help.
Besides HTML there is the Markdown of every page, and llms.txt, which lists it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import griffe

from logloss import arguments

ROOT = Path(__file__).parent.parent
CONFIGURATION = ROOT / "zensical.toml"

MOVED = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks/index.md",
    "examples/README.md": "examples/index.md",
}
"""Pages outside docs/, and where they stand on the site."""

ARRAYS = ("losses", "derivatives", "metrics", "prior", "_targets", "linear", "siglip", "sampling")
API = {
    "arrays": ("Arrays", "logloss", ARRAYS),
    "scoring": ("Scoring", "logloss", ("scores", "scored", "comparing", "segmenting", "explaining", "pushdown")),
    "general": ("Errors and threads", "logloss", ("_errors", "")),
    "torch": ("PyTorch", "logloss.torch", ("losses", "linear", "trainer", "metrics", "distributed")),
    "keras": ("Keras", "logloss.keras", ()),
    "boosting": ("Boosting", "logloss.boosting", ()),
    "streaming": ("Streams", "logloss.streaming", ()),
    "scorers": ("scikit-learn", "logloss.scorers", ()),
}
"""Each page of the API: its title, the module whose names it has, and which of its rooms they are of; (): all."""

_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


class Page(NamedTuple):
    """A page as Zensical reads it, and as plain Markdown, which is the same where nothing else is said."""

    text: str
    plain: str


# ---- pages that are written by hand ---------------------------------------------------------------------------------


def places() -> dict[str, str]:
    """Every file that the site has, by its path in the repository: its path on the site."""
    docs = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".svg", ".json", ".css")]
    own = {str(path.relative_to(ROOT)): str(path.relative_to(ROOT / "docs")) for path in sorted(docs)}
    beside = [*(ROOT / "benchmarks").glob("*.svg"), *(ROOT / "examples").glob("*.py")]
    return own | {str(path.relative_to(ROOT)): str(path.relative_to(ROOT)) for path in sorted(beside)} | MOVED


def moved(text: str, path: str, found: Mapping[str, str]) -> str:
    """The text of a page with its links as they lead from its place on the site."""

    def link(match: re.Match[str]) -> str:
        before, target, after = match.groups()
        if re.match(r"[a-z]+:", target):
            return match.group()
        there = os.path.normpath(PurePosixPath(path).parent / target)
        if there not in found:
            raise SystemExit(f"{path} links to {target}, which the site has not; name it in MOVED of docs/build.py.")
        return before + os.path.relpath(found[there], PurePosixPath(found[path]).parent) + after

    fences = _FENCE.findall(text)
    parts = [_LINK.sub(link, part) for part in _FENCE.split(text)]
    return "".join(part + fence for part, fence in zip(parts, [*fences, ""], strict=True))


# ---- pages that are made --------------------------------------------------------------------------------------------


def commands() -> Page:
    """What `--help` says of every command."""
    os.environ["COLUMNS"] = "82"  # argparse fills lines of the terminal that it finds
    text = "# Commands\n\nWhat `--help` says; [Scoring predictions](scoring.md) explains it with examples.\n"
    for one in _parsers(arguments.parser()):
        text += f"\n## {one.prog}\n\n```text\n{one.format_help().strip()}\n```\n"
    return Page(text, text)


def _parsers(parser: Any) -> Iterator[Any]:
    """A parser and those of its commands, by the one place where argparse keeps them."""
    yield parser
    for action in parser._subparsers._group_actions if parser._subparsers else ():
        yield from action.choices.values()


def api() -> dict[str, Page]:
    """The pages of the API, of the names that docs/surface.json promises."""
    promised = json.loads((ROOT / "docs" / "surface.json").read_text(encoding="utf-8"))
    package = griffe.load("logloss", extensions=griffe.load_extensions("signatures"), docstring_parser="google")
    public = {module: [name for name in names if "." not in name] for module, names in promised["names"].items()}
    shown = {name: _chosen(package, public[module], module, rooms) for name, (_, module, rooms) in API.items()}
    there = {one.path for found in shown.values() for one in found}
    if missing := sorted({f"{module}.{name}" for module, names in public.items() for name in names} - there):
        raise SystemExit(f"no page of the API has {', '.join(missing)}; add its room to API of docs/build.py.")
    pages = {f"api/{name}.md": _reference(API[name][0], dict.fromkeys(found, ())) for name, found in shown.items()}
    dialects = {package[f"dialects.{module}"]: names for module, names in promised["dialects"].items()}
    return {**pages, "api/dialects.md": _reference("Dialects", dialects)}


def _chosen(package: Any, names: Sequence[str], module: str, rooms: tuple[str, ...]) -> list[Any]:
    """The public objects of a module, or those of some rooms, in the order of these and of their source."""
    home = package[module.removeprefix("logloss.")] if module != "logloss" else package
    public = {one: _room(one, module) for one in (home[name] for name in names)}
    if not rooms:
        return list(public)
    chosen = [one for one, room in public.items() if room in rooms]
    return sorted(chosen, key=lambda one: (rooms.index(public[one]), one.lineno))


def _room(one: Any, module: str) -> str:
    """The room of the module where something is defined; "" for the module itself."""
    room, inside, _ = one.canonical_path.removeprefix(f"{module}.").partition(".")
    return room if inside else ""


def _reference(title: str, shown: Mapping[Any, Sequence[str]]) -> Page:
    """A page of objects, and of which members where not all of them are public."""
    text, plain = f"# {title}\n", f"# {title}\n"
    for one, members in shown.items():
        text += f"\n::: {one.path}\n" + (f"    options:\n      members: [{', '.join(members)}]\n" if members else "")
        for part in (one, *(one[name] for name in members)):
            plain += f"\n## {part.path}\n\n{part.docstring.value if part.docstring else ''}\n"
    return Page(text, plain)


# ---- the site -------------------------------------------------------------------------------------------------------


def pages() -> dict[str, Page]:
    """All pages by their path on the site."""
    found = places()
    own = {}
    for path, place in found.items():
        if place.endswith(".md"):
            text = moved((ROOT / path).read_text(encoding="utf-8"), path, found)
            own[place] = Page(text, text)
    return {**own, "commands.md": commands(), **api()}


def listed(navigation: list[Any]) -> Iterator[tuple[str, str]]:
    """The pages of the navigation in their order: title and path; a section is a title with an empty path."""
    for entry in navigation:
        for title, inside in entry.items():
            yield (title, inside) if isinstance(inside, str) else (title, "")
            if not isinstance(inside, str):
                yield from listed(inside)


def llms(settings: Mapping[str, Any]) -> str:
    """The list of all pages for readers that are programs: https://llmstxt.org."""
    text = f"# {settings['site_name']}\n\n> {settings['site_description']}\n\n"
    for title, place in listed(settings["nav"]):
        text += f"- [{title}]({place})\n" if place else f"\n## {title}\n\n"
    return text


def build(folder: Path) -> Path:
    """Build the site in a folder, strictly: a link or an anchor that leads nowhere is an error."""
    settings = tomllib.loads(CONFIGURATION.read_text(encoding="utf-8"))["project"]
    found, order = pages(), [place for _, place in listed(settings["nav"]) if place]
    if found.keys() ^ set(order):
        raise SystemExit(
            f"nav of zensical.toml and the pages differ in {', '.join(sorted(found.keys() ^ set(order)))}."
        )
    shutil.rmtree(folder, ignore_errors=True)
    source, site = folder / settings["docs_dir"], folder / settings["site_dir"]
    for place, page in found.items():
        _write(source / place, page.text)
    for path, place in places().items():
        if not place.endswith(".md"):
            _write(source / place, (ROOT / path).read_text(encoding="utf-8"))
    shutil.copy(CONFIGURATION, folder)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    paths = os.pathsep.join([str(ROOT / "docs"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "PYTHONPATH": paths})
    for place, page in found.items():
        _write(site / place, page.plain)
    _write(site / "llms.txt", llms(settings))
    _write(site / "llms-full.txt", "\n\n".join(found[place].plain for place in order))
    return site


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    print(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs"))
