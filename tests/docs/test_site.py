"""The site is built without a warning, its links lead somewhere, and no page asks another host for anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from commands import ROOT

pytestmark = pytest.mark.slow
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
FREE = {"canonical", "next", "prev", "alternate"}  # links that a browser does not fetch


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("mkdocs", reason="needs mkdocs: pip install 'aeexp[docs]'")
    pytest.importorskip("material", reason="needs mkdocs-material: pip install 'aeexp[docs]'")
    folder = tmp_path_factory.mktemp("site")
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "true", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-6000:]
    assert "WARNING" not in done.stderr
    return folder


class Page(HTMLParser):
    """What a page links to and loads, and the anchors that it has."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADED and LOADED[tag] in given and given.get("rel") not in FREE:
            self.loaded.append(given[LOADED[tag]])


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_it_has_a_page_for_each_task_tutorial_and_option(site):
    names = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    for name in ("index", "results", "how-to/compose", "tutorials/01-first-run", "reference/regularizer/kl",
                 "reference/metrics-json", "reference/commands", "api/index", "design/contributing"):  # fmt: skip
        assert f"{name}.html" in names
    assert len(names) > 250


def test_links_and_anchors_lead_somewhere(site, pages):
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not link:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                broken.append((path.relative_to(site).as_posix(), link))
            elif parts.fragment and target in pages and not parts.fragment.startswith("__"):
                if unquote(parts.fragment) not in pages[target].anchors:
                    broken.append((path.relative_to(site).as_posix(), link))
    assert broken == []


def test_nothing_is_loaded_from_another_host(site, pages):
    for path, page in pages.items():
        assert [each for each in page.loaded if urlsplit(each).netloc] == [], path
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert "url(http" not in text and "url(//" not in text and "@import" not in text, path


def test_it_is_no_burden(site):
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 40e6


@pytest.mark.browser
def test_search_works_in_pages_that_are_opened_as_files_and_asks_no_host(site, browser):
    browser.get((site / "index.html").as_uri())
    browser.execute_script("document.querySelector('[data-md-toggle=search]').click()")
    field = browser.find_element("css selector", "[data-md-component=search-query]")
    end = time.monotonic() + 60
    found: list[str] = []
    field.send_keys("free_bits")
    while not found and time.monotonic() < end:
        time.sleep(0.5)
        links = browser.find_elements("css selector", ".md-search-result__link")
        found = [link.get_attribute("href") for link in links]
    assert any("regularizer/kl" in link for link in found), found
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    addresses = [each["params"]["request"]["url"] for each in asked if each["method"] == "Network.requestWillBeSent"]
    assert addresses and all(address.startswith(("file:", "data:", "blob:", "chrome:")) for address in addresses), (
        addresses
    )
