"""The page in a real browser: quiet, offline, whole without a script, sorted, filtered, folded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dyntools.log import Log
from dyntools.page import html
from dyntools.report import CheckpointRow, Report
from tests.page.browser import Seen, chromium, missing, opened
from tests.page.conftest import log_of, series

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason=missing() or "there is one"),
]
WIDTHS = (375, 800, 1280)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def overfitted() -> Log:
    at = np.arange(0, 2000, 20)
    valley = 0.3 + ((at - 400) / 1000) ** 2
    return log_of(train_loss=(at, 2 * np.exp(-at / 300)), validation_loss=(at, valley),
                  learning_rate=(at, np.full(len(at), 1e-3)))  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a finding, a map of many layers, one of few, a table that can be filtered."""
    random = np.random.default_rng(0)
    names = tuple(f"h.{i}.{part}.weight" for i in range(30) for part in ("attn", "mlp"))
    many = series("effective_rank", np.exp(random.standard_normal((20, 60)) * 3),
                  coords={"layer": names}, beside={"null": np.ones((20, 60))})  # fmt: skip
    few = series("weight_norm", random.random((20, 4)) * 10)
    ranks = series(
        "hessian_top", np.linspace(1, 30, 20)[:, None] * [1.0, 0.5], group="curvature",
        dims=("rank",), coords={"rank": (1, 2)}, beside={"threshold": np.full((20, 2), 20.0)},
    )  # fmt: skip
    rows = tuple(CheckpointRow(f"{i}.pt", "torch", i * 100, "name", "ok") for i in range(20))
    measured = {one.metric: one for one in (many, few, ranks)}
    path = tmp_path_factory.mktemp("page") / "run.html"
    path.write_text(html([Report({"run": "r"}, measured, rows, overfitted())]))
    return path


def quiet(seen: Seen, path: Path) -> None:
    assert seen.complaints == []
    assert seen.dialogs == []
    assert {url for url in seen.requests if not url.startswith("data:")} == {path.as_uri()}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_quiet_and_no_wider_than_the_screen(
    browser: Any, page: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    size = {"width": width, "height": 800}
    with opened(browser, page, viewport=size, color_scheme=scheme) as seen:
        for fold in seen.page.locator("main details:not([open]) > summary").all():
            if fold.is_visible():
                fold.click()
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert len(seen.page.screenshot(full_page=True)) > 10_000
        ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(253, 252, 250)", "dark": "rgb(21, 23, 26)"}[scheme]
        quiet(seen, page)


def test_names_of_layers_never_run(browser: Any, hostile: Report, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(html([hostile, hostile]))
    with opened(browser, path) as seen:
        seen.page.get_by_role("button", name="Open all").click()
        seen.page.locator("svg.cells").first.hover()
        seen.page.get_by_role("button", name="layer").first.click()
        assert seen.page.locator("main script, main img").count() == 0
        assert "<script>alert(1)</script>" in seen.page.locator("main").inner_text()
        quiet(seen, path)


def test_the_policy_stops_what_is_not_ours(browser: Any, page: Path, tmp_path: Path) -> None:
    """The second wall: even markup that slipped in could neither run nor load."""
    path = tmp_path / "attacked.html"
    attack = (
        "<script>document.title = 'ran'</script>"
        "<img src='https://example.invalid/x.png' onerror=\"document.title = 'ran'\">"
        "<p style='color: red' id='styled'>x</p><main"
    )
    path.write_text(page.read_text().replace("<main", attack, 1))
    with opened(browser, path) as seen:
        assert seen.page.title() != "ran"
        assert len(seen.complaints) >= 3
        colour = seen.page.evaluate("getComputedStyle(document.querySelector('#styled')).color")
        assert colour != "rgb(255, 0, 0)"


def test_without_a_script_everything_is_there_and_folds(browser: Any, page: Path) -> None:
    with opened(browser, page, java_script_enabled=False) as seen:
        shown = seen.page.locator("main")
        for words in ("Findings", "Training", "Weights", "effective_rank", "Provenance", "Seen"):
            assert words in shown.inner_text()
        assert seen.page.locator("button, input").count() == 0
        card = seen.page.locator(".card", has=seen.page.get_by_role("heading", name="weight_norm"))
        row = card.locator("tbody tr").first
        assert not row.is_visible()
        card.locator("summary").click()
        assert row.is_visible()
        titles = card.locator("svg .dot title").all_text_contents()
        assert any(title.startswith("h.0, step 0: ") for title in titles)


def table_of(seen: Seen, metric: str) -> Any:
    heading = seen.page.get_by_role("heading", name=metric, exact=True)
    card = seen.page.locator(".card", has=heading)
    card.locator("summary").click()
    return card


def test_columns_sort_by_their_numbers(browser: Any, page: Path) -> None:
    with opened(browser, page) as seen:
        card = table_of(seen, "effective_rank")
        head = card.locator("thead th", has_text="step 1900")
        column = head.evaluate("(th) => th.cellIndex")

        def numbers() -> list[float]:
            texts = card.locator(f"tbody tr td:nth-child({column + 1})").all_text_contents()
            return [float(text.replace("k", "e3")) for text in texts]

        before = numbers()
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        assert numbers() == sorted(before, reverse=True) != before
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        assert numbers() == sorted(before)
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") is None
        assert numbers() == before
        quiet(seen, page)


@pytest.mark.parametrize(
    ("cells", "falling"),
    [
        (["1.20e-5", "0.3", "12.3k", "2M", "999"], ["2M", "12.3k", "999", "0.3", "1.20e-5"]),
        (["failed", "(2±1)e-3", "~1.5", "1.4±0.1"], ["~1.5", "1.4±0.1", "(2±1)e-3", "failed"]),
        (["512 B", "1.2 MiB → 4 B", "3 KiB"], ["1.2 MiB → 4 B", "3 KiB", "512 B"]),
        (["-inf", "+0.5", "-3", "inf", "–"], ["inf", "+0.5", "-3", "-inf", "–"]),
        (["b", "a10", "a9"], ["b", "a10", "a9"]),
    ],
)
def test_numbers_as_the_views_write_them_sort(
    browser: Any, page: Path, tmp_path: Path, cells: list[str], falling: list[str]
) -> None:
    rows = "".join(f"<tr><th>{i}</th><td>{cell}</td></tr>" for i, cell in enumerate(cells))
    table = (
        f"<div><table id='mine'><thead><tr><th>n</th><th>v</th></tr></thead><tbody>{rows}</tbody>"
    )
    path = tmp_path / "sorted.html"
    path.write_text(page.read_text().replace("<footer>", f"{table}</table></div><footer>", 1))
    with opened(browser, path) as seen:
        seen.page.locator("#mine").get_by_role("button", name="v").click()
        assert seen.page.locator("#mine td").all_text_contents() == falling


def test_rows_are_filtered_by_name(browser: Any, page: Path) -> None:
    with opened(browser, page) as seen:
        card = table_of(seen, "effective_rank")
        card.get_by_label("Filter").fill("ATTN")
        assert card.locator("tbody tr:visible").count() == 30
        assert "30 of 60 rows" in card.locator(".filter").inner_text()
        card.get_by_label("Filter").fill("")
        assert card.locator("tbody tr:visible").count() == 60


def test_a_map_tells_its_numbers_to_pointer_and_keys(browser: Any, page: Path) -> None:
    """The same numbers as the table beside it."""
    with opened(browser, page) as seen:
        card = table_of(seen, "effective_rank")
        cells = {
            row.locator("th").inner_text(): row.locator("td").all_text_contents()
            for row in card.locator("tbody tr").all()[:5]
        }
        drawing, said = card.locator("figure > svg"), card.locator(".readout")
        drawing.scroll_into_view_if_needed()
        place = card.locator("svg.cells").evaluate(
            """(cells) => {
              const { width, height } = cells.viewBox.baseVal;
              const at = new DOMPoint(width - 0.5, height - 1).matrixTransform(
                cells.querySelector("g").getScreenCTM());
              return [at.x, at.y];
            }"""
        )
        seen.page.mouse.move(*place)
        assert said.inner_text().startswith("h.29.mlp, step 1900: ")
        drawing.focus()
        for key in ("ArrowUp",) * 60:
            drawing.press(key)
        assert said.inner_text().startswith("h.0.attn, step 1900: ")
        for _ in range(60):
            name, _, number = said.inner_text().partition(", step 1900: ")
            if name in cells:
                assert cells[name][1] == number
                break
            drawing.press("ArrowDown")
        else:
            pytest.fail("no row of the table was met")
        for _ in range(30):
            drawing.press("ArrowLeft")
        assert ", step 0: " in said.inner_text()


def test_all_folds_open_and_close(browser: Any, page: Path) -> None:
    with opened(browser, page) as seen:
        every = seen.page.locator("main details").count()
        seen.page.get_by_role("button", name="Open all").click()
        assert seen.page.locator("main details[open]").count() == every
        seen.page.get_by_role("button", name="Close all").click()
        assert seen.page.locator("main details[open]").count() == 0


def test_keys_reach_findings_and_show_where_they_are(browser: Any, page: Path) -> None:
    with opened(browser, page) as seen:
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.textContent") == "Skip to the findings"
        seen.page.keyboard.press("Enter")
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.tagName") == "SUMMARY"
        outline = seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        was = seen.page.locator(".finding").first.get_attribute("open")
        seen.page.keyboard.press("Enter")
        assert seen.page.locator(".finding").first.get_attribute("open") != was


@pytest.mark.parametrize("script", [True, False])
def test_print_opens_findings(browser: Any, page: Path, script: bool) -> None:
    with opened(browser, page, java_script_enabled=script) as seen:
        assert len(seen.page.pdf(format="A4")) > 10_000
        seen.page.emulate_media(media="print")
        assert not seen.page.locator("nav").is_visible()
        for inside in seen.page.locator(".finding .inside").all():
            assert inside.is_visible()
