"""What readers of a report do: look, sort, filter, print, at night, on a phone, by keyboard or screen reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

HOSTILE = "</script><script>alert(1)</script>"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.mark.parametrize("name", ["acs", "groups", "hostile"])
def test_it_renders_and_nothing_leaves_it(opened, pages, name: str):
    found = opened(name)
    page = found.page
    assert found.messages == []
    assert found.requests == [pages[name].as_uri()]
    figures = page.locator("figure svg[role=img]")
    assert figures.count() >= 6
    assert all(len(figures.nth(place).get_attribute("aria-label")) > 40 for place in range(figures.count()))
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    links = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(one => one.getAttribute('href').slice(1))"
    )
    assert set(links) <= set(ids)


def test_a_script_of_anyone_else_does_not_run(opened):
    page = opened("acs").page
    page.evaluate(
        "{const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)}"
    )
    assert page.evaluate("window.ran") is None


def test_names_are_text(opened):
    found = opened("hostile")
    page = found.page
    assert found.messages == []
    assert page.locator("script").count() == 1
    assert page.locator("img, i:not(.ax i), b b").count() == 0
    assert HOSTILE in page.locator("body").inner_text()
    assert "<script>alert(3)</script>" in page.title()
    assert "\ufffd" in page.locator("body").inner_text()  # what XML forbids is shown as what it is: unknown
    assert "null" in page.locator("tbody th bdi").all_inner_texts()[-1] or page.get_by_text("= null").count() > 0


def column(page, place: int) -> list[float]:
    script = "place => [...document.querySelectorAll('table.names tbody tr')].map(row => row.cells[place].dataset.v)"
    return [float(value) for value in page.evaluate(script, place)]


def test_tables_sort_by_pointer_and_keyboard(opened):
    page = opened("groups").page
    table = page.locator("table.names").first
    assert column(page, 3) == sorted(column(page, 3), reverse=True)
    rows = table.locator("thead th").nth(4)
    rows.locator("button").click()
    assert rows.get_attribute("aria-sort") == "descending"
    assert table.locator("[aria-sort]").count() == 1
    losses = table.locator("thead th").nth(6)
    losses.locator("button").focus()
    page.keyboard.press("Enter")
    assert column(page, 6) == sorted(column(page, 6), reverse=True)
    page.keyboard.press("Enter")
    assert losses.get_attribute("aria-sort") == "ascending"
    assert column(page, 6) == sorted(column(page, 6))
    table.locator("thead th").first.locator("button").click()
    names = table.locator("tbody th").all_inner_texts()
    assert names[:3] == ["store = 0", "store = 1", "store = 2"]


def test_tables_filter(opened):
    page = opened("groups").page
    page.get_by_label("Filter").fill("Store = 99")
    shown = page.locator("table.names tbody tr:visible")
    assert shown.count() == 11  # 99, 990 to 999
    assert page.get_by_role("status").inner_text() == "11 of 1,000 rows"
    page.get_by_label("Filter").fill("")
    assert shown.count() == 1000


def test_one_of_several_labels_is_chosen_everywhere(opened):
    """By what it is called, in every section; on paper all of them stand."""
    found = opened("labels")
    page = found.page
    headings = page.locator("section#calibrated h3.of:visible")
    assert headings.all_text_contents() == ["a b"]
    page.locator("#good select").select_option(label="<i>")
    assert headings.all_text_contents() == ["<i>"]
    assert page.locator("#useful select").input_value() == "<i>"
    page.locator("#useful select").select_option(label="all 3")
    assert headings.all_text_contents() == ["a b", "<i>", "c"]
    page.locator("#useful select").select_option(label="c")
    page.emulate_media(media="print")
    assert headings.count() == 3
    assert page.locator("select:visible").count() == 0
    assert found.messages == []


def test_marks_say_their_numbers_when_touched(opened):
    page = opened("acs", width=390, has_touch=True).page
    mark = page.locator("figure [data-tip^='threshold 0.5:']").first
    mark.scroll_into_view_if_needed()
    tip = page.locator("#tip")
    assert not tip.is_visible()
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # it has scrolled
    mark.hover(force=True)
    assert tip.inner_text() == mark.get_attribute("data-tip")
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_night_and_print_have_their_palettes(opened):
    ground = "getComputedStyle(document.body).backgroundColor"
    page = opened("acs", scheme="dark").page
    assert page.evaluate(ground) == "rgb(18, 20, 23)"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert page.locator("details:visible").count() == 0
    written = page.pdf(format="A4")
    assert written.startswith(b"%PDF")
    assert 3 <= written.count(b"/Type /Page\n") <= 12


def test_long_tables_are_cut_in_print(opened):
    page = opened("groups").page
    page.emulate_media(media="print")
    assert page.locator("table.names tbody tr:visible").count() == 25


@pytest.mark.parametrize("name", ["acs", "groups", "hostile"])
@pytest.mark.parametrize("width", [320, 820])
def test_nothing_scrolls_sideways(opened, name: str, width: int):
    page = opened(name, width=width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_a_script_everything_is_there(opened):
    page = opened("groups", java_script_enabled=False).page
    assert page.locator("figure svg").count() >= 6
    assert page.locator("table.names tbody tr").count() == 1000
    assert not page.get_by_label("Filter").is_visible()


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [("acs", 1440, "light"), ("groups", 390, "dark"), ("hostile", 390, "light"), ("labels", 820, "dark")],
)
def test_rules_of_accessibility(opened, name: str, width: int, scheme: str):
    page = opened(name, width, scheme, bypass_csp=True).page
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.evaluate("for (const one of document.querySelectorAll('tbody tr:nth-child(n+30)')) one.remove()")  # all alike
    found = Axe().run(page, options={"runOnly": RULES})
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found.response["violations"]] == []
    assert len(found.response["passes"]) > 20


def test_a_standalone_picture_follows_the_screen(browser, tmp_path: Path):
    import logloss as ll

    scores = ll.score(
        {"y": [1, 0, 1, 0] * 30, "p": [0.8, 0.3, 0.6, 0.4] * 30}, target="y", probability="p", diagnostics=True
    )
    scores.plot().save(tmp_path / "chart.svg")
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto((tmp_path / "chart.svg").as_uri())
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()") == "#e8eaed"
    context.close()
