"""The documentation site as `docs/build.py` builds it: whole, the same as on GitHub, and sufficient unto itself."""

from __future__ import annotations

import functools
import http.server
import json
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from logloss import arguments
from test_public_surface import parsers

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "docs" / "build.py"
ADDRESSES = ("data", "href", "src", "srcset", "xlink:href")
SAME = ("blockquote", "em", "h1", "h2", "h3", "h4", "img", "li", "ol", "pre", "strong", "table", "td", "tr", "ul")


def run(*command: object, cwd: Path = ROOT) -> str:
    done = subprocess.run([sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "docs"
    assert run(BUILD, folder) == ""
    return folder / "site"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served, as it would be in a folder of some host."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/site/"
        server.shutdown()


class Page(HTMLParser):
    """The elements within <article>, what the page loads, and its identifiers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inside, self.count, self.loads, self.ids = 0, Counter[str](), [], set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.inside += tag == "article"
        self.count[tag] += self.inside > 0
        self.ids |= {named["id"]} if named.get("id") else set()
        if tag in ("embed", "iframe", "img", "link", "object", "script", "source", "use"):
            self.loads += [
                value for name in ("src", "srcset", "href", "data", "xlink:href") if (value := named.get(name))
            ]

    def handle_endtag(self, tag: str) -> None:
        self.inside -= tag == "article"


def page(site: Path, name: str) -> Page:
    return Page((site / name / "index.html").read_text(encoding="utf-8"))


def outside(text: str) -> bool:
    """Whether an address leads away from the site."""
    return re.match(r"([a-z]+:)?//", text.strip()) is not None


def test_nothing_is_loaded_from_elsewhere(site: Path):
    loads = {(path.name, one) for path in site.rglob("*.html") for one in Page(path.read_text(encoding="utf-8")).loads}
    styles = {
        (path.name, one)
        for path in site.rglob("*.css")
        for one in re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", path.read_text(encoding="utf-8"))
    }
    assert len(loads) > 10
    assert [one for one in loads | styles if outside(one[1])] == []


@pytest.mark.parametrize(
    ("text", "away"), [("//a.b/c.js", True), ("https://a.b", True), ("../a.js", False), ("#a", False)]
)
def test_the_rule_of_loading_can_fail(text: str, away: bool):
    assert outside(text) == away
    assert Page(f"<article><script src='{text}'></script></article>").loads == [text]


def test_readers_see_every_page_and_nothing_leaves_them(site: Path, address: str, browser):
    """On a phone, in the dark: no page is wider than the screen, and none says or asks for anything elsewhere."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    shown, said, asked = context.new_page(), [], []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: asked.append(request.url))
    names = sorted(str(path.parent.relative_to(site)) for path in site.rglob("index.html"))
    wide = {}
    for name in names:
        shown.goto(f"{address}{name}/")
        wide[name] = shown.evaluate("document.documentElement.scrollWidth")
    shown.goto(address)
    shown.locator("label.md-header__button[for=__search]").click()
    shown.keyboard.type("pos_weight")
    shown.get_by_text("logloss.balanced_pos_weight").first.wait_for()
    context.close()
    assert len(names) > 20
    assert {name: width for name, width in wide.items() if width > 390} == {}
    assert said == []
    assert [one for one in asked if not one.startswith((address, "blob:", "data:"))] == []


def test_pages_are_the_same_as_on_github(site: Path):
    """As many lists, tables, blocks and stresses as GitHub's rules of Markdown find."""
    reader = MarkdownIt("gfm-like", {"linkify": False})
    differ = {}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        name = path.relative_to(ROOT / "docs").with_suffix("")
        theirs = Page(f"<article>{reader.render(path.read_text(encoding='utf-8'))}</article>").count
        ours = page(site, "." if name.name == "index" else str(name)).count
        if found := {tag: (ours[tag], theirs[tag]) for tag in SAME if ours[tag] != theirs[tag]}:
            differ[str(name)] = found
    assert differ == {}


def test_every_promised_name_has_its_place(site: Path):
    promised = json.loads((ROOT / "docs" / "surface.json").read_text(encoding="utf-8"))
    names = [f"{module}.{name}" for module, found in promised["names"].items() for name in found]
    names += [f"logloss.dialects.{module}.{name}" for module, found in promised["dialects"].items() for name in found]
    ids = {one for path in (site / "api").rglob("*.html") for one in Page(path.read_text(encoding="utf-8")).ids}
    assert len(names) > 100
    assert sorted(set(names) - ids) == []


def test_help_is_what_the_commands_say(site: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "82")
    text = (site / "commands.md").read_text(encoding="utf-8")
    every = parsers(arguments.parser())
    assert [one.prog for one in every if one.format_help().strip() not in text] == []
    assert len(every) > 8


def test_programs_find_every_page_as_text(site: Path):
    listed = re.findall(r"\]\(([^)]+)\)", (site / "llms.txt").read_text(encoding="utf-8"))
    assert [one for one in listed if not (site / one).is_file()] == []
    html = {str(path.parent.relative_to(site)) for path in site.rglob("index.html")}
    assert html == {re.sub(r"(^|/)index$", "", one.removesuffix(".md")) or "." for one in listed}
    everything = (site / "llms-full.txt").read_text(encoding="utf-8")
    assert "Every loss is u·softplus" in everything
    assert "logloss.binary_cross_entropy_with_logits" in everything


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path):
    configuration = '[project]\nsite_name = "x"\ndocs_dir = "pages"\n'
    (tmp_path / "zensical.toml").write_text(configuration)
    (tmp_path / "pages").mkdir()
    start = tmp_path / "pages" / "index.md"
    for text, fine in (("[a](#there)\n\n## There\n", True), ("[a](#nowhere)\n", False), ("[a](b.md)\n", False)):
        start.write_text(f"# Start\n\n{text}")
        assert (run("-m", "zensical", "build", "--strict", "--clean", cwd=tmp_path) == "") == fine
