"""What the report's own script does in a browser: filter, unfold, hover, play, light and dark."""

import pytest
from browser import open_browser, open_page
from report_rows import make_rows, write_run, write_set

from evfer import report


@pytest.fixture(scope="module")
def browser():
    with open_browser() as started:
        yield started


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    rows = [row | {"seed": seed} for seed in range(120) for row in make_rows(seed=seed)]
    data = write_set(root / "data", {p["clip_id"] for r in rows for p in r["predictions"]})
    write_run(root / "results/a", rows, data=data)
    write_run(root / "results/b", make_rows("resnet18", 0.5), data=data)
    return report.render(root / "results", root / "report").page


def test_long_tables_show_more_and_filter_all_their_rows(browser, page_file):
    watched = open_page(browser, page_file)
    page = watched.page
    page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    table = page.locator(".table", has=page.locator('table[aria-label="Every fold"]'))
    rows = table.locator("tbody tr")
    assert rows.count() == 50
    assert table.locator(".tools span").inner_text() == "363 rows"
    table.locator(".more-button").click()
    assert rows.count() == 100
    while table.locator(".more-button").is_visible():
        table.locator(".more-button").click()
    assert rows.count() == 363
    assert not table.locator(".more-button").is_visible()
    table.locator("input").fill("resnet18 2")
    assert 0 < rows.count() <= 3
    assert all("resnet18" in text for text in rows.all_inner_texts())
    table.locator("input").fill("no such model")
    assert rows.count() == 0
    table.locator("input").fill("")
    # rows that stood in the page as data are sorted among the others, by number
    table.locator("th", has_text="seed").locator("button").click()
    firsts = [int(text) for text in rows.locator("td:nth-child(2)").all_inner_texts()[:30]]
    assert firsts == sorted(firsts, reverse=True)
    assert firsts[0] == 119
    watched.check()


def test_tables_that_hold_a_part_of_the_rows_say_of_how_many(browser, page_file, tmp_path):
    text = page_file.read_text(encoding="utf-8")
    assert text.count('data-total="363"') == 1
    changed = tmp_path / "report.html"
    changed.write_text(text.replace('data-total="363"', 'data-total="10000"'), encoding="utf-8")
    page = open_page(browser, changed).page
    table = page.locator(".table", has=page.locator('table[aria-label="Every fold"]'))
    count = table.locator(".tools span")
    assert count.text_content() == "363 of 10,000 rows"
    table.locator("input").evaluate(
        "(e) => { e.value = 'x?'; e.dispatchEvent(new Event('input')) }"
    )
    assert count.text_content() == "0 of 10,000 rows"


def test_tables_of_a_few_rows_have_no_filter_and_phones_show_fewer_rows(browser, page_file):
    page = open_page(browser, page_file).page
    table = page.locator("#accuracy .table").first
    assert table.locator("tbody tr").count() == 2
    assert not table.locator(".tools").is_visible()
    page = open_page(browser, page_file, width=390).page
    table = page.locator("#accuracy .table").first
    assert table.locator(".tools select").is_visible()
    assert not table.locator(".tools input").is_visible()
    table = page.locator(".table", has=page.locator('table[aria-label="Every fold"]'))
    assert table.locator("tbody tr").count() == 15


def test_marks_tell_their_numbers(browser, page_file):
    watched = open_page(browser, page_file)
    page = watched.page
    mark = page.locator("#confusion svg .tip").first
    mark.scroll_into_view_if_needed()
    mark.hover(force=True)
    hint = page.locator(".hint")
    assert hint.is_visible()
    assert hint.inner_text().startswith("true happy, predicted happy: ")
    box = hint.bounding_box()
    assert box["x"] >= 0
    assert box["y"] >= 0
    page.mouse.move(2, 2)
    assert not hint.is_visible()
    watched.check()


def test_marks_tell_their_numbers_under_their_letters_too(browser, page_file):
    page = open_page(browser, page_file).page
    letters = page.locator("#confusion svg text", has_text="%").first
    letters.scroll_into_view_if_needed()
    box = letters.bounding_box()
    # a letter is hit on its ink or between, so that a few places are tried
    for part in (0.2, 0.35, 0.5, 0.65, 0.8):
        page.mouse.move(2, 2)
        page.mouse.move(box["x"] + part * box["width"], box["y"] + box["height"] / 2)
        assert page.locator(".hint").is_visible()
        assert page.locator(".hint").inner_text().startswith("true happy, predicted happy: ")


VISIBLE = """(e) => [e.querySelector("summary"), e.querySelector("td")].map(
  (part) => part.checkVisibility({ contentVisibilityAuto: true }) && part.clientHeight > 0)"""


def test_on_paper_nothing_is_closed(browser, page_file):
    watched = open_page(browser, page_file)
    page = watched.page
    for name in ("Every fold", "Every person"):
        part = page.locator("details", has=page.locator("summary", has_text=name))
        assert part.evaluate(VISIBLE) == [True, False]
        page.emulate_media(media="print")
        assert part.evaluate(VISIBLE) == [True, True]
        page.emulate_media(media="screen")
    # browsers whose style sheets cannot open them get them opened, and closed again after
    closed = page.locator("details:not([open])")
    number = closed.count()
    assert number >= 2
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert closed.count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert closed.count() == number
    watched.check()


def test_clips_play_pause_and_scrub(browser, page_file):
    watched = open_page(browser, page_file)
    card = watched.page.locator(".player").first
    step = "(card) => card.style.getPropertyValue('--step')"
    card.scroll_into_view_if_needed()
    before = card.evaluate(step)
    watched.page.wait_for_function(
        "([card, before]) => card.style.getPropertyValue('--step') !== before",
        arg=[card.element_handle(), before],
    )
    button = card.locator("button")
    button.click()
    assert button.inner_text() == "Play"
    held = card.evaluate(step)
    watched.page.wait_for_timeout(300)
    assert card.evaluate(step) == held
    card.locator("input").fill("3")
    assert card.evaluate(step) == "3"
    place = card.locator("img").first.evaluate("(img) => getComputedStyle(img).objectPosition")
    assert place.startswith(f"{100 * 3 / 23:.1f}"[:4])
    watched.check()


def test_light_and_dark_can_be_chosen(browser, page_file):
    watched = open_page(browser, page_file, color_scheme="light")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    button = watched.page.locator(".theme")
    light = watched.page.evaluate(ground)
    assert button.inner_text() == "Dark page"
    button.click()
    dark = watched.page.evaluate(ground)
    assert sum(map(int, dark[4:-1].split(","))) < 150 < sum(map(int, light[4:-1].split(",")))
    watched.page.emulate_media(media="print")
    assert watched.page.evaluate(ground) == "rgb(255, 255, 255)"
    watched.page.emulate_media(media="screen", color_scheme="dark")
    button.click()
    assert watched.page.evaluate(ground) == light
    watched.check()


def test_without_scripts_everything_is_there(browser, page_file):
    watched = open_page(browser, page_file, java_script_enabled=False)
    page = watched.page
    assert page.locator("#accuracy table").first.locator("tbody tr").count() == 2
    assert page.locator("#confusion svg title").count() >= 9
    assert page.get_by_text("163 more rows are in tables/folds .csv and .json").count() == 1
    assert page.locator(".theme").is_hidden()
    assert not page.locator(".controls").first.is_visible()
    moving = page.locator(".film img").first.evaluate(
        "(img) => getComputedStyle(img).animationName"
    )
    assert moving == "film"
