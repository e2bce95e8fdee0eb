"""report.html: its numbers are the report's, it fetches nothing, and its controls do what they say."""

from __future__ import annotations

import io
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from declared import declare
from PIL import Image

from aeexp.reports import page as report_page
from aeexp.reports import pictures as report_pictures
from aeexp.reports.comparison import Best, Failure, Paired, Report
from aeexp.reports.declarations import Declarations
from aeexp.reports.grouping import Group
from aeexp.reports.page import LINKS, collect_content, find_address, write_page
from aeexp.reports.pictures import MOST, WIDE, WIDEST, collect_galleries, collect_pictures
from aeexp.reports.records import Record

EVIL = "</script><script>document.title='stolen'</script>"
KEYS = ["loss", "reconstruction/mse", "probe/linear", "latent/dead_units"]


def record(folder: Path, seed: int, columns: dict[str, str], baseline: dict | None = None, **parts) -> Record:
    metrics = {"baseline": baseline or {}, "data": {"name": "digits"}, "numbers": declare(KEYS), **parts}
    return Record(folder, {**columns, "seed": str(seed)}, {**columns, "seed": seed}, {}, metrics, {})


def group(folder: Path, columns: dict[str, str], level: float, seeds: int = 3) -> Group:
    """Numbers around `level`: more of it is a lower error and a better probe."""
    rng = np.random.default_rng(round(10 * level))
    records = []
    for seed in range(seeds):
        error = 10 / level + rng.random()
        test = dict(zip(KEYS, (error, error, 0.5 + 0.04 * level - 0.01 * seed, None), strict=True))
        parts = {
            part: {"loss": error * by, "reconstruction/mse": error * by} for part, by in (("val", 1.1), ("train", 0.8))
        }
        base = {"pca": {"reconstruction/mse": 9 / level, "probe/linear": 0.9}, "raw": {"probe/linear": 0.95}}
        records.append(record(folder / f"{level}_{seed}", seed, columns, base, test=test, **parts))
    return Group(columns, records)


def report(folder: Path, groups: list[Group] | None = None) -> Report:
    """Two variants at three widths, a failed run, and a name that would run code."""
    names = ("vae", EVIL)
    found = groups if groups is not None else [
        group(folder, {"variant": name, "latent.dim": dim}, level + 4 * i)
        for i, name in enumerate(names) for level, dim in ((1.0, "2"), (2.0, "8"), (4.0, "32"))
    ]  # fmt: skip
    best, tied = found[-1:], found[-2:-1]
    criteria = KEYS[1:3] if found else []
    bests = [Best(key, "lower", one, one.estimate(key), tied, True, [], [], []) for key in criteria for one in best]
    pairs = [Paired("loss", one, "variant=vae", "paired t-test", 3, -1.5, 0.25, 0.012, 0.024, None) for one in best]
    pairs += [Paired("loss", one, "variant=vae", None, 1, None, None, None, None, "fewer than 3 pairs") for one in tied]
    failures = [Failure(folder / "7", "failed", f"NaN in the loss {EVIL}")]
    return Report(
        [folder], found, list(found[0].columns) if found else [], ["trainer.epochs=5"], KEYS if found else [], criteria,
        bests, ["The best error is not the best code."], pairs, failures, {"split": "8:1:1"}, ["One split."], [],
        Declarations(record for one in found for record in one.records),
    )  # fmt: skip


def picture(path: Path, width: int = 1300) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (width // 20, width // 10, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((width, width // 2), Image.Resampling.NEAREST).save(path)


class Page(HTMLParser):
    """What a page holds: the cells of its first table by row, and every address it names."""

    def __init__(self, text: str):
        super().__init__()
        self.rows, self.addresses, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.addresses += [values[name] for name in ("src", "href", "srcset", "action", "data") if name in values]
        if tag == "table":
            self.table = self.tags.count("table")
        if tag == "tr" and self.table == 1:
            self.rows.append([])
        if "data-sort" in values and self.table == 1:
            self.rows[-1].append(values["data-sort"])


def page(one: Report, folder: Path) -> str:
    write_page(one, folder / "report.html")
    return (folder / "report.html").read_text()


def test_the_numbers_of_the_page_are_means_of_what_the_runs_measured(tmp_path):
    one = report(tmp_path)
    shown = Page(page(one, tmp_path)).rows[1:]  # after the header
    assert len(shown) == len(one.groups)
    for row, each in zip(shown, one.groups, strict=True):
        assert row[:3] == [each.columns["variant"], str(float(each.columns["latent.dim"])), "3"]
        for cell, key in zip(row[3:], [*KEYS[1:3], KEYS[0]], strict=False):
            runs = [run.metrics["test"][key] for run in each.records]
            assert float(cell) == pytest.approx(np.mean(runs), rel=1e-12)
        assert row[-1] == ""  # not measured
    cells = [cell for row in collect_content(one, tmp_path)["rows"] for cell in row["cells"]]
    first = one.groups[0].estimate(KEYS[1])
    assert (
        cells[0].text == f"{first.mean:.4g} ± {first.half:.2g}" and cells[0].title == f"sd {first.sd:.3g} over 3 runs"
    )


def test_the_scatters_values_are_the_estimates_and_settings_are_axes(tmp_path):
    one = report(tmp_path)
    text = re.search(r'id="data">(.*?)</script>', page(one, tmp_path), re.DOTALL)[1]
    data = json.loads(text)
    axes = {axis["id"]: axis for axis in data["axes"]}
    assert data["first"] == ["test:reconstruction/mse", "test:probe/linear"] and data["swept"] == "latent.dim"
    assert [value[0] for value in axes["set:latent.dim"]["values"]] == [2, 8, 32, 2, 8, 32]
    for part in ("test", "val", "train"):
        values = axes[f"{part}:reconstruction/mse"]["values"]
        known = [each.estimate("reconstruction/mse", part) for each in one.groups]
        np.testing.assert_allclose(values, [(e.mean, e.half) for e in known], rtol=1e-3)
    assert axes["test:reconstruction/mse"]["pca"][0] == 9.0 and axes["test:reconstruction/mse"]["raw"] == []
    assert axes["test:latent/dead_units"]["values"] == [None] * 6 and axes["test:loss"]["unit"] == "per example"
    assert {each["line"] for each in data["groups"]} == {0, 1}


def test_names_and_messages_of_users_are_text_and_never_code(tmp_path):
    text = page(report(tmp_path), tmp_path)
    assert text.count("<script") == text.count("</script>") == 2 and "&lt;script&gt;" in text
    assert "fewer than 3 pairs" in text and "One split." in text and "8:1:1" in text and "trainer.epochs=5" in text


def test_the_page_names_no_address_beyond_itself(tmp_path):
    one = report(tmp_path)
    for each in one.groups:
        picture(each.records[0].folder / "figures" / "samples.png")
    found = Page(page(one, tmp_path))
    embedded = [address for address in found.addresses if address.startswith("data:")]
    assert len(embedded) == 1 + 1 + 6  # no icon, the curves, a figure a group
    links = [address for address in found.addresses if address not in embedded]
    assert len(links) == 6 * 3 + 6 and all(address.startswith("./") for address in links)  # each run, each figure
    assert {"iframe", "object", "embed"}.isdisjoint(found.tags)


def test_a_row_leads_to_the_figures_of_its_runs_and_a_name_is_no_address(tmp_path):
    """Relative to the page: a sweep's folder may move. Names are those of folders, which a stranger may have chosen."""
    home, other = tmp_path / "s", tmp_path / "t" / 'javascript:a"><b>'
    picture(home / "0" / "figures" / "samples.png", 40)
    other.mkdir(parents=True)
    assert find_address(home / "0", home) == "./0/figures/"
    assert find_address(other, home) == "./../t/javascript%3Aa%22%3E%3Cb%3E/"
    one = group(tmp_path, {}, 1.0, seeds=LINKS + 2)
    (row,) = collect_content(report(tmp_path, [one]), tmp_path)["rows"]
    assert row["links"] == [(f"1.0_{seed}", f"./1.0_{seed}/") for seed in range(LINKS)] and row["runs"] == LINKS + 2


def test_nothing_finished_is_a_page_of_failures(tmp_path):
    text = page(report(tmp_path, []), tmp_path)
    assert "Runs without numbers" in text and "NaN in the loss" in text and "<select" not in text


def test_one_group_of_one_run_has_neither_interval_nor_curve(tmp_path):
    one = report(tmp_path, [group(tmp_path, {}, 1.0, seeds=1)])
    assert "±" not in "".join(cell.text for row in collect_content(one, tmp_path)["rows"] for cell in row["cells"])
    text = page(one, tmp_path)
    assert "all runs" in text and 'id="curves"' not in text


def test_figures_are_small_and_what_is_left_out_is_said(tmp_path, monkeypatch):
    groups = [group(tmp_path, {"latent.dim": str(i)}, float(i), seeds=1) for i in range(1, MOST + 3)]
    for each in groups[1:]:
        picture(each.records[0].folder / "figures" / "samples.png", 1600)
    picture(groups[1].records[0].folder / "figures" / "scatter.png", 400)
    (groups[2].records[0].folder / "figures" / "scatter.png").write_bytes(b"no picture")
    made = collect_pictures(groups)
    assert made.names == ["samples", "scatter"] and len(made.runs) == MOST
    assert made.left_out == f"Left out: figures of 1 of {MOST + 1} groups. The run folders have them."
    shown = made.runs[0].figures
    assert (shown["samples"].width, shown["samples"].height) == (WIDE, WIDE // 2) and shown["scatter"].width == 400
    assert made.runs[0].group == "latent.dim=2" and "scatter" not in made.runs[1].figures
    monkeypatch.setattr(report_pictures, "BYTES", len(shown["scatter"].source))  # a tenth of the other's
    small = collect_pictures(groups)
    assert small.names == ["scatter"] and "samples (all figures may take" in small.left_out


def test_what_a_sweep_draws_of_all_runs_is_in_the_page(tmp_path):
    one = report(tmp_path)
    assert collect_galleries(one.groups) == []  # no folder of a sweep
    (tmp_path / "multirun.yaml").write_text("", encoding="utf-8")
    for name, width in (("samples", 3000), ("hpo_history", 900), ("sweep", 900)):
        picture(tmp_path / f"{name}.png", width)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    shown = dict(collect_galleries(one.groups))
    assert {name: each.width for name, each in shown.items()} == {"hpo_history": 900, "samples": WIDEST}
    text = page(one, tmp_path)
    assert "<h3>samples</h3>" in text and f"width: min(100%, {WIDEST // 2}px)" in text
    assert f"width: min(100%, {900 // 2}px)" in text


def test_a_table_too_large_to_be_quick_shows_the_criteria_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(report_page, "CELLS", 6 * 3)
    shown = collect_content(report(tmp_path), tmp_path)
    assert [cell.text for cell in shown["keys"]] == ["reconstruction/mse", "probe/linear", "loss"] and shown["cut"] == 1


def test_declared_units_stand_at_the_axes_and_in_the_table(tmp_path):
    expected = dict(zip(KEYS, ("per example", "squared error per example", "accuracy", "units"), strict=True))
    shown = collect_content(report(tmp_path), tmp_path)
    assert {cell.text: cell.value for cell in shown["keys"]} == {key: key for key in expected}
    assert {cell.text: cell.title for cell in shown["keys"]} == expected
    assert {axis["key"]: axis["unit"] for axis in shown["scatter"]["axes"] if axis["part"] == "test"} == expected


# --- in a browser


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """The page of a small sweep with figures, in a window of 1400 pixels; screenshots lie beside it."""
    folder = tmp_path_factory.mktemp("page")
    one = report(folder)
    for each in one.groups:
        for name in ("samples", "reconstructions"):
            picture(each.records[0].folder / "figures" / f"{name}.png")
    write_page(one, folder / "report.html")
    wide(browser, 1400)
    browser.get((folder / "report.html").as_uri())
    return browser, one, folder


def wide(browser, width: int) -> None:
    size = dict(width=width, height=1000, deviceScaleFactor=1, mobile=False)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def column(browser, number: int) -> list[str]:
    script = "return [...document.querySelectorAll('#table tbody tr')].map(row => row.cells[arguments[0]].dataset.sort)"
    return browser.execute_script(script, number)


def choose(browser, name: str, value: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(browser.find_element("id", name)).select_by_value(value)


@pytest.mark.browser
def test_a_header_sorts_by_mouse_and_by_key_and_what_is_missing_comes_last(opened):
    browser, _, _ = opened
    [*heads] = browser.find_elements("css selector", "#table thead th")
    before = [float(value) for value in column(browser, 3)]
    heads[3].find_element("tag name", "button").click()
    assert [float(value) for value in column(browser, 3)] == sorted(before) != before
    assert heads[3].get_attribute("aria-sort") == "ascending"
    heads[3].find_element("tag name", "button").send_keys("\ue007")  # Enter
    assert [float(value) for value in column(browser, 3)] == sorted(before, reverse=True)
    heads[1].find_element("tag name", "button").send_keys(" ")
    assert column(browser, 1) == ["2.0", "2.0", "8.0", "8.0", "32.0", "32.0"]  # 8 before 32: as numbers
    assert [head.get_attribute("aria-sort") for head in heads[:4]] == ["none", "ascending", "none", "none"]
    order = "return [order('9', '10') < 0, order('x', '10') > 0, order('a2', 'a10') < 0]"
    assert browser.execute_script(order) == [True, True, True]
    cells = browser.find_elements("css selector", "#table tbody .more")
    assert not any(cell.is_displayed() for cell in cells)
    browser.find_element("id", "all").click()
    assert all(cell.is_displayed() for cell in cells)


@pytest.mark.browser
def test_the_select_boxes_choose_the_axes_of_the_scatter(opened):
    browser, one, _ = opened

    def seen() -> tuple[list[str], int]:
        names = [node.text for node in browser.find_elements("css selector", "#plot .name")]
        return names, len(browser.find_elements("css selector", "#plot .point[aria-label*='mean of 3 runs']"))

    assert seen() == (
        ["reconstruction/mse, test split (squared error per example)", "probe/linear, test split (accuracy)"],
        6,
    )
    choose(browser, "across", "set:latent.dim")
    choose(browser, "up", "train:reconstruction/mse")
    assert seen() == (["latent.dim", "reconstruction/mse, training split (squared error per example)"], 6)
    assert browser.find_element("id", "across-log").is_selected()  # 2 to 32
    labels = [node.text for node in browser.find_elements("css selector", "#plot text")]
    assert labels[:3] == ["2", "8", "32"]
    point = browser.find_element("css selector", "#plot .point[aria-label^='variant=vae latent.dim=8']")
    browser.execute_script("arguments[0].focus()", point)
    mean = one.groups[1].estimate("reconstruction/mse", "train").mean
    assert f"reconstruction/mse (training split): {mean:.4g}" in browser.find_element("id", "tip").text
    choose(browser, "up", "test:latent/dead_units")
    assert browser.find_element("id", "plot").text == "No group has both numbers."
    choose(browser, "up", "test:probe/linear")


@pytest.mark.browser
def test_the_figures_of_the_runs_stand_side_by_side(opened):
    browser, one, _ = opened
    widths = """return [...document.querySelectorAll('.figures')].filter(part => part.getClientRects().length)
        .map(part => [part.dataset.figure, ...[...part.querySelectorAll('img')].map(image => image.naturalWidth)])"""
    assert browser.execute_script(widths) == [["reconstructions", *[1300] * len(one.groups)]]
    choose(browser, "figure", "samples")
    assert browser.execute_script(widths) == [["samples", *[1300] * len(one.groups)]]


@pytest.mark.browser
def test_a_figure_is_large_by_click_or_key_until_it_is_closed(opened):
    browser, _, _ = opened
    image = browser.find_element("css selector", "main .figures:not([hidden]) img")
    dialog = browser.find_element("id", "enlarged")
    small = image.size["width"]
    for begin, end in (("click", "click"), ("\ue007", "\ue00c")):  # Enter, Escape
        image.click() if begin == "click" else image.send_keys(begin)
        assert dialog.is_displayed() and dialog.find_element("tag name", "img").size["width"] > 1.5 * small
        dialog.find_element("tag name", "button").click() if end == "click" else dialog.send_keys(end)
        assert not dialog.is_displayed()


@pytest.mark.browser
def test_the_first_column_stays_where_a_table_is_wider_than_its_window(opened):
    browser, _, folder = opened
    wide(browser, 400)
    browser.get((folder / "report.html").as_uri())
    browser.find_element("id", "all").click()
    script = """const scroll = document.querySelector("#groups .scroll"), from = scroll.getBoundingClientRect().left;
        scroll.scrollLeft = 300;
        const cells = [...scroll.querySelectorAll("thead th:first-child, tbody th")];
        return [scroll.scrollLeft, ...cells.map(cell => cell.getBoundingClientRect().left - from)]"""
    moved, *left = browser.execute_script(script)
    wide(browser, 1400)
    assert moved > 100 and left == pytest.approx([0] * 7, abs=1)


@pytest.mark.browser
def test_in_the_dark_the_page_is_dark_and_on_paper_it_is_light(opened):
    browser, _, folder = opened
    paper = "return getComputedStyle(document.body).backgroundColor"

    def look(scheme: str, media: str) -> int:
        features = [dict(name="prefers-color-scheme", value=scheme)]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dict(media=media, features=features))
        return int(re.findall(r"\d+", browser.execute_script(paper))[0])

    try:
        assert look("dark", "screen") < 64 and look("light", "screen") == 255 == look("dark", "print")
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dict(media="", features=[]))


@pytest.mark.browser
@pytest.mark.parametrize("width", [1400, 500])
def test_the_page_fits_its_window_and_fetches_nothing(opened, width):
    browser, _, folder = opened
    wide(browser, width)
    browser.get((folder / "report.html").as_uri())
    assert browser.title == "digits: variant, latent.dim compared"  # and not stolen
    deadline = time.monotonic() + 20
    while browser.execute_script("return [...document.images].some(image => !image.complete)"):
        assert time.monotonic() < deadline
    assert browser.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert all(name.startswith("data:") for name in fetched)
    shot = browser.get_screenshot_as_png()
    (folder / f"report_{width}.png").write_bytes(shot)
    shades = np.asarray(Image.open(io.BytesIO(shot)).convert("L"))
    assert shades.shape == (1000, width) and 0.01 < (shades < 128).mean() < 0.3  # dark words on white
