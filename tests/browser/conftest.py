"""Reports in a real browser: the system's Chromium, driven by Playwright, which downloads nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import sync_playwright

import logloss as ll

ACS = Path(__file__).parents[2] / "examples" / "acs_employment_predictions.parquet"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
HOSTILE = "</script><script>alert(1)</script>"
MODELS = {HOSTILE: "p", "<img src=x onerror=alert(2)>": "q"}


@dataclass
class Opened:
    """A page, with what it said and asked for."""

    page: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no browser was found; Debian has one in the package chromium (apt-get install chromium)")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield chromium
        chromium.close()


def rows_of(count: int) -> pl.DataFrame:
    random = np.random.default_rng(0)
    z = random.normal(size=count)
    y = (random.random(count) < 1 / (1 + np.exp(-z))).astype(int)
    return pl.DataFrame({"y": y, "p": 1 / (1 + np.exp(-z)), "q": 1 / (1 + np.exp(-1.5 * z))})


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each report once: of the shipped predictions, of a thousand groups, and of names that want to do harm."""
    folder = tmp_path_factory.mktemp("reports")
    shipped, many = rows_of(2000), rows_of(60_000).with_columns(store=pl.int_range(60_000) % 1000)
    hostile = shipped.rename({"y": "a'\"<script>alert(3)</script>"})
    hostile = hostile.with_columns(pl.Series("g\x00\u202e<b>", ["<i>one</i>", "\ud7ff&amp;\x0b two", None, ""] * 500))
    tags = {f"{side}_{name}": shipped["y" if side == "y" else "p"] for name in ("a  b", "<i>", "c") for side in "yp"}
    made = {
        "labels": (pl.DataFrame(tags), {"target": "y_*", "probability": "p_*"}),
        "acs": (ACS, {"target": "employed", "probability": "predicted_probability", "group": "year"}),
        "groups": (many, {"target": "y", "probability": "p", "group": "store"}),
        "hostile": (hostile, {"target": hostile.columns[0], "probability": MODELS, "group": hostile.columns[-1]}),
    }
    for name, (source, options) in made.items():
        ll.report(source, folder / f"{name}.html", **options)
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Callable[..., Opened]]:
    """Opens a report; what the page says and asks for is written down from the start."""
    contexts = []

    def open_page(name: str, width: int = 1440, scheme: str = "light", **options: Any) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.on("console", lambda message: found.messages.append(message.text))
        found.page.on("pageerror", lambda error: found.messages.append(str(error)))
        found.page.on("dialog", lambda dialog: (found.messages.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.goto(pages[name].as_uri())
        return found

    yield open_page
    for context in contexts:
        context.close()
