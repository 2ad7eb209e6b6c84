"""Everything the documentation shows is run: Python blocks, docstring examples, console sessions, links and figures."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import logloss

pytestmark = pytest.mark.frameworks  # pages show all of them

ROOT = Path(__file__).parent.parent
FOLDERS = ("docs", "benchmarks", "examples")
PAGES = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
README_LINES, CODE_BY_LINE = 130, 12


class Block(NamedTuple):
    """A fenced block of a page: its language, its text and the line where the text begins."""

    language: str
    text: str
    line: int


class Command(NamedTuple):
    """A console line and the output shown under it."""

    line: str
    output: str


def blocks(text: str) -> Iterator[Block]:
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield Block(match.group(1), match.group(2), text.count("\n", 0, match.start()) + 2)


def commands(block: str) -> Iterator[Command]:
    """The commands of a console block: lines after "$ ", a trailing backslash continuing them, and what follows."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, output = part.replace("\\\n", " ").partition("\n")
        yield Command(line, output)


def failures_of(source: str, name: str, names: dict[str, object]) -> str:
    """What doctest says of the examples in a text; empty if they all hold."""
    said: list[str] = []
    test = doctest.DocTestParser().get_doctest(source, names, name, name, 0)
    doctest.DocTestRunner(verbose=False, optionflags=OPTIONS).run(test, out=said.append, clear_globs=False)
    names.update(test.globs)  # doctest works on a copy
    return "".join(said)


def modules() -> list[str]:
    """Every module of the package but `__main__`, which runs on import."""
    walked = pkgutil.walk_packages(logloss.__path__, "logloss.")
    return ["logloss", *sorted(info.name for info in walked if not info.name.endswith("__main__"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks(path: Path, monkeypatch: pytest.MonkeyPatch):
    """The blocks of a page continue each other; one with prompts is a doctest, one without is run as it stands."""
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {"__name__": "example"}
    for block in blocks(path.read_text(encoding="utf-8")):
        where = f"{path.name}:{block.line}"
        if block.language != "python":
            continue
        if ">>>" in block.text:
            assert failures_of(block.text, where, names) == ""
        else:
            exec(compile(block.text, where, "exec"), names)


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        said: list[str] = []
        doctest.DocTestRunner(verbose=False, optionflags=OPTIONS).run(test, out=said.append)
        assert said == []


def assert_shows(page: str, printed: str) -> None:
    """Raise unless the page shows what was printed, ends of lines apart; a last line "…" leaves out the rest."""
    shown, lines = ([line.rstrip() for line in text.strip().splitlines()] for text in (page, printed))
    if shown[-1:] == ["…"]:
        shown.pop()
        lines = lines[: len(shown)]
    assert shown == lines


def sessions() -> list[object]:
    """The console commands of all pages with their output, named by page and line."""
    return [
        pytest.param(command, id=f"{path.relative_to(ROOT)}:{block.line}-{number}")
        for path in PAGES
        for block in blocks(path.read_text(encoding="utf-8"))
        if block.language == "console"
        for number, command in enumerate(commands(block.text))
    ]


@pytest.mark.parametrize("command", sessions())
def test_console_command(command: Command):
    words = shlex.split(command.line)
    programs = {words[0], *(words[place + 1] for place, word in enumerate(words) if word == "|")}
    assert programs <= {"logloss", "cat", "gzip"}, f"only logloss, cat and gzip are run here, not {programs}"
    this = shlex.join([sys.executable, "-m", "logloss"])
    done = subprocess.run(
        f'set -e -o pipefail\nlogloss() {{ {this} "$@"; }}\n{command.line}',
        executable="bash",
        shell=True,
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert_shows(command.output, done.stdout + done.stderr)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path):
    """Links to files and the paths in backquotes that look like files of this tree."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if not re.match(r"https?:|mailto:", link)]
    assert [link for link in links if not (path.parent / link).exists()] == []
    named = re.findall(r"`((?:src|tests|docs|benchmarks|examples|\.ci)/[\w./-]*)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_first_look_is_one_command(tmp_path: Path):
    command = [sys.executable, str(ROOT / "examples" / "first_look.py"), str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "boosting is better than logistic, 2,417 rows: log loss 0.06438 lower" in done.stdout
    pages = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert pages.keys() == {"acs.html", "yeast.html"}
    assert "277,677" in pages["acs.html"]
    assert "boosting" in pages["yeast.html"]


def test_readme_is_short_and_shows_code_early():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= README_LINES
    assert next(blocks(text)).line <= CODE_BY_LINE


def test_readme_has_its_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first, second = re.findall(r"^pip install .*$", text, re.MULTILINE)
    assert re.fullmatch(r"pip install \S+ && logloss score examples/.+", first)
    assert re.fullmatch(r"pip install .+ && pytest", second)


def test_the_page_reader_can_fail():
    page = "Text\n\n```python\n>>> 1 + 1\n3\n```\n\n```console\n$ logloss a \\\n    b\nout\n\n$ logloss c\n```\n"
    code, console = blocks(page)
    assert (code.language, code.line, console.language) == ("python", 4, "console")
    assert "Expected:\n    3\nGot:\n    2" in failures_of(code.text, "page", {})
    assert failures_of(">>> 1 + 1\n2\n", "page", {}) == ""
    assert list(commands(console.text)) == [Command("logloss a      b", "out\n\n"), Command("logloss c", "")]
    assert_shows("a\nb\n…\n", "a \nb\nc\n")
    for page in ("a\nc\n…\n", "a\nb\n", "…\nc\n"):
        with pytest.raises(AssertionError):
            assert_shows(page, "a\nb\nc\n")
