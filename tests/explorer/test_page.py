"""explorer.html in a browser: its numbers are PyTorch's, its controls do what they say, and it asks nobody."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
import torch
from composing import run_in

import aeexp
from aeexp.cli.explore import build_parser, explore
from aeexp.errors import UsageError
from aeexp.explorer.operations import RULES

pytestmark = pytest.mark.browser
EVIL = "</script><script>document.title='stolen'</script><img src=x onerror=\"document.title='stolen'\">"
QUICK = ("trainer.epochs=1", "metric=reconstruction")


def write(folders, output, *words):
    given = [*map(str, folders), "--output", str(output), "--rows", "60", "--maps", "pca", *words]
    explore(build_parser().parse_intermixed_args(given), given)
    return output


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two autoencoders of digits, one of them conditional, and one of a table whose names would run code."""
    above = tmp_path_factory.mktemp("runs")
    run_in(above / "two", "latent.dim=2", *QUICK)
    run_in(above / "cvae", "variant=cvae", "latent.dim=4", *QUICK)
    rng = np.random.default_rng(0)
    with (above / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["one", EVIL, "kind", "label"])
        writer.writerows(
            [f"{a:.3f}", f"{b:.3f}", f"{i % 2}{EVIL}", i % 2] for i, (a, b) in enumerate(rng.normal(size=(60, 2)))
        )
    table = ["dataset=csv", f"dataset.path={above / 'table.csv'}", "dataset.label=label", "latent.dim=1"]
    run_in(above / "table", *table, *QUICK)
    return above


@pytest.fixture(scope="module")
def page(folders, tmp_path_factory):
    return write([folders / "two", folders / "cvae"], tmp_path_factory.mktemp("page") / "explorer.html")


@pytest.fixture
def opened(browser, page):
    return show(browser, page)


def show(browser, page):
    browser.get(page.as_uri())
    wait(browser, "return typeof runs !== 'undefined' && runs.every(run => run.check)")
    return browser


def wait(browser, script):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30).until(lambda chromium: chromium.execute_script(script))


def ask(browser, script, *given):
    """What a script gives; arrays of numbers as lists."""
    return json.loads(browser.execute_script(
        f"return JSON.stringify((() => {{ {script} }})(), (_, v) => ArrayBuffer.isView(v) ? Array.from(v) : v)", *given
    ))  # fmt: skip


def pictures(browser):
    """What the first run's tile of what is decoded shows, as bytes of its pixels."""
    script = """const canvas = [...document.querySelector('article').querySelectorAll('figure.large canvas')].at(-1);
        return Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)"""
    return ask(browser, script)


def decoded(model, z, context=None):
    with torch.no_grad():
        z = torch.tensor([z])
        return model.decode(z, None if context is None else torch.tensor([context])).flatten().numpy()


def test_the_page_agrees_with_pytorch_is_quick_and_asks_nobody(opened, page):
    opened.get_log("performance")  # what the browser's own first page asks for
    show(opened, page)
    checks = ask(opened, "return runs.map(run => run.check)")
    assert len(checks) == 2
    for check in checks:  # float32, values near 1, sums of some hundred
        assert max(check["code"], check["picture"], check["decoded"]) < 1e-4 and check["ms"] < 50
    assert "largest difference from PyTorch" in opened.find_element("id", "checks").text
    asked = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    urls = {m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"}
    assert page.as_uri() in urls and all(url.startswith(("file:", "data:", "chrome:")) for url in urls), urls
    assert ask(opened, "return performance.getEntriesByType('resource').length") == 0
    words = re.sub(r'id="blobs">[^<]*', "", page.read_text("utf-8")).replace("http-equiv", "")
    assert page.stat().st_size < 20e6 and "http" not in words


def test_dragging_and_arrow_keys_move_the_code_and_what_is_decoded(opened, folders):
    from selenium.webdriver import ActionChains, Keys

    before, shown = ask(opened, "return runs[0].now.z"), pictures(opened)
    handle = opened.find_element("css selector", "article .handle")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    ActionChains(opened).click_and_hold(handle).move_by_offset(40, -30).release().perform()
    after = ask(opened, "return runs[0].now.z")
    assert np.abs(np.subtract(after, before)).min() > 0 and pictures(opened) != shown
    model = aeexp.load(folders / "two")
    np.testing.assert_allclose(ask(opened, "return runs[0].now.decoded"), decoded(model, after), atol=1e-4)
    handle.send_keys(Keys.ARROW_RIGHT)
    moved = ask(opened, "return runs[0].now.z")
    assert moved[0] > after[0] and moved[1] == pytest.approx(after[1], abs=1e-5)
    handle.send_keys(Keys.ENTER)
    assert not ask(opened, "return runs[0].now.byHand")


def test_a_finger_drags_the_ring_and_draws(opened):
    opened.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        for target, what in ((".handle", "return runs[0].now.z"), ("#pad canvas", "return runs[0].now.z")):
            node = opened.find_element("css selector", target)
            opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", node)
            box = ask(opened, f"const b = document.querySelector('{target}').getBoundingClientRect(); "
                              "return [b.left + b.width / 2, b.top + b.height / 2];")  # fmt: skip
            before = ask(opened, what)
            for kind, by in (("touchStart", 0), ("touchMove", 12), ("touchMove", 24)):
                point = {"x": box[0] + by, "y": box[1] + by}
                opened.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            opened.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            wait(opened, "return true")
            assert ask(opened, what) != before, target
    finally:
        opened.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_sliders_move_one_unit(opened):
    from selenium.webdriver import Keys

    before = ask(opened, "return runs[1].now.z")
    unit = ask(opened, "return runs[1].moves.order[0]")
    slider = opened.find_elements("css selector", "article")[1].find_element("css selector", ".sliders input")
    slider.send_keys(Keys.ARROW_RIGHT * 8)
    after = ask(opened, "return runs[1].now.z")
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert changed == [unit] and after[unit] > before[unit]


def test_a_digit_is_drawn_put_under_noise_and_encoded(opened, folders):
    from selenium.webdriver import ActionChains, Keys

    opened.find_element("id", "clear").click()
    pad = opened.find_element("css selector", "#pad canvas")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", pad)
    stroke = ActionChains(opened).move_to_element_with_offset(pad, 0, -60).click_and_hold()
    stroke.move_by_offset(0, 120).release().perform()
    clean = np.array(ask(opened, "return state.clean"))
    assert ask(opened, "return state.row") is None and 2 < (clean > 0.3).sum() < 40
    model = aeexp.load(folders / "two")

    def through():
        x = torch.tensor(ask(opened, "return state.noisy")).view(1, 1, 8, 8)
        with torch.no_grad():
            output = ask(opened, "return runs[0].now.output")
            np.testing.assert_allclose(output, model.reconstruct(x).flatten(), atol=1e-4)
            np.testing.assert_allclose(ask(opened, "return runs[0].now.z"), model.encode(x).mean[0], atol=1e-4)
        return x.flatten().numpy()

    assert through() == pytest.approx(clean)
    opened.find_element("id", "level").send_keys(Keys.ARROW_RIGHT * 30)
    noise = through() - clean
    assert 0.1 < noise.std() < 0.6  # 0.3 of the range, of 64 draws
    pad.send_keys(Keys.DELETE)
    assert np.ptp(ask(opened, "return state.clean")) == 0
    pad.send_keys(Keys.ARROW_RIGHT, Keys.SPACE)
    assert np.ptp(ask(opened, "return state.clean")) > 0


def test_labels_are_swapped_and_the_walk_begins_and_ends_at_its_rows(opened, folders):
    model = aeexp.load(folders / "cvae")
    card = opened.find_elements("css selector", "article")[1]
    panel = next(each for each in card.find_elements("css selector", "details") if "under every label" in each.text)
    wait(opened, "return [...document.querySelectorAll('article:nth-of-type(2) details figure')].length > 10")
    code = ask(opened, "return runs[1].now.z")
    button = panel.find_elements("css selector", "figure button")[3]
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()", button)
    assert ask(opened, "return runs[1].now.z") == code
    label = [float(i == 3) for i in range(10)]
    np.testing.assert_allclose(ask(opened, "return runs[1].now.decoded"), decoded(model, code, label), atol=1e-4)
    opened.execute_script("""for (const [id, value] of [['a', 5], ['b', 9], ['share', 1]]) byId(id).value = value;
        byId('share').dispatchEvent(new Event('input'))""")
    way = ask(opened, "return runs[1].networks.way({a: runs[1].codeOf(4), b: runs[1].codeOf(8), share: [1]})[0]")
    np.testing.assert_allclose(way, ask(opened, "return runs[1].codeOf(8)"), atol=1e-6)
    assert ask(opened, "return [state.a, state.b, state.share]") == [4, 8, 1]


def test_runs_of_other_rows_are_refused(folders, tmp_path):
    with pytest.raises(UsageError, match="make a page of each"):
        write([folders / "two", folders / "table"], tmp_path / "both.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone_and_in_the_dark(opened, scheme):
    phone = {"width": 400, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        assert ask(opened, "return document.documentElement.scrollWidth") <= 400
        colours = "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
        paper, ink = ([int(part) for part in re.findall(r"\d+", each)[:3]] for each in ask(opened, colours))
        assert abs(np.mean(paper) - np.mean(ink)) > 150 and (np.mean(paper) < 60) == (scheme == "dark")
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_names_of_users_are_text_and_a_table_is_filled_in(browser, folders, tmp_path):
    page = write([folders / "table"], tmp_path / "table.html")
    assert page.read_text("utf-8").count("<script") == 3
    show(browser, page)
    assert browser.title == "table: codes in the hand"
    assert "document.title='stolen'" in browser.find_element("tag name", "main").text
    before = ask(browser, "return runs[0].now.z")
    field = browser.find_element("css selector", ".form input[type=number]")
    field.clear()
    field.send_keys("2.5")
    table = browser.find_element("css selector", "article table").text
    assert ask(browser, "return runs[0].now.z") != before and "2.5" in table


def test_what_cannot_be_computed_is_told_and_the_map_is_there(browser, folders, tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(RULES, "relu")
    page = write([folders / "two"], tmp_path / "two.html")
    assert "decode: aten.relu is none of the operations that the page computes" in capsys.readouterr().err
    show(browser, page)
    assert "aten.relu" in browser.find_element("css selector", ".refusal").text
    drawn = """const c = document.querySelector('.map canvas');
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(value => value > 0)"""
    assert browser.find_element("css selector", ".map canvas").is_displayed() and ask(browser, drawn)


def test_a_hole_moves_nothing_and_errors_are_counted_from_what_was_there(browser, tmp_path):
    from selenium.webdriver import ActionChains

    run_in(tmp_path / "run", "task=inpaint", "latent.dim=4", *QUICK)
    opened = show(browser, write([tmp_path / "run"], tmp_path / "explorer.html"))
    before = np.array(ask(opened, "return state.clean"))
    pad = opened.find_element("css selector", "#pad canvas")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", pad)
    ActionChains(opened).move_to_element_with_offset(pad, 0, -20).click_and_hold().move_by_offset(
        0, 40
    ).release().perform()
    holed, truth = (np.array(ask(opened, f"return state.{name}")) for name in ("clean", "truth"))
    assert (truth == before).all() and (holed != before).any()
    assert (holed[holed != before] < before[holed != before]).all()  # fill is 0, the least value of a digit
    captions = opened.find_elements("css selector", "article figure.large figcaption")
    assert captions[0].text == "input with a hole"
    output = np.array(ask(opened, "return runs[0].now.output"))
    told = float(captions[1].text.rpartition("error ")[2].replace("−", "-"))
    assert told == pytest.approx(((output - before) ** 2).sum(), rel=0.01)


def test_a_group_shows_its_likeliest_value_and_its_share(browser, tmp_path):
    words = ("latent=categorical", "latent.dim=12", "latent.classes=4")
    run_in(tmp_path / "run", *words, *QUICK)
    opened = show(browser, write([tmp_path / "run"], tmp_path / "explorer.html"))
    z = np.array(ask(opened, "return runs[0].now.z")).reshape(3, 4)
    order = ask(opened, "return runs[0].moves.order")
    chosen = ask(opened, "return [...document.querySelectorAll('.sliders select')].map(each => Number(each.value))")
    assert chosen == [int(z[block].argmax()) for block in order]
    shares = ask(opened, "return [...document.querySelectorAll('.sliders output')].map(each => each.textContent)")
    wanted = [f"{round(100 * float(z[block].max()))} %" for block in order]
    assert [abs(int(a[:-2]) - int(b[:-2])) <= 1 for a, b in zip(shares, wanted, strict=True)] == [True] * 3
    assert opened.find_element("id", "arcs").get_attribute("hidden") is not None  # no normal law, no arc
