"""The page as people use it, in a real Chromium: by mouse, by keyboard, on a phone, in the dark."""

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from framework.serving.jobs import Jobs
from tests.framework.serving.http_client import Client, listen
from tests.framework.serving.page.conftest import BIRDS, NASTY, SECRETS

PATH = f"/models/{quote(BIRDS, safe='')}"
PATIENCE = 120_000.0  # milliseconds, on a busy machine
PHONE = {"width": 375, "height": 812}
VIOLATIONS = (
    "window.violated = []; addEventListener('securitypolicyviolation', e => violated.push(e.violatedDirective));"
)
NAMELESS = """() => [...document.querySelectorAll('input:not([type=hidden]), select, button, progress, a, summary')]
  .filter(e => !(e.labels?.length && e.labels[0].textContent.trim()) && !e.getAttribute('aria-label')
    && !e.textContent.trim()).map(e => e.outerHTML)"""
UNKNOWN = """() => [...document.querySelectorAll('[aria-describedby], [aria-labelledby], [for]')]
  .flatMap(e => ['aria-describedby', 'aria-labelledby', 'for'].flatMap(n => (e.getAttribute(n) || '').split(' ')))
  .filter(id => id && document.querySelectorAll(`[id="${id}"]`).length !== 1)"""
CONTRAST = """element => {
  const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number)
    .map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b };
  let behind = element;
  while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
  const [a, b] = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(light);
  return (Math.max(a, b) + .05) / (Math.min(a, b) + .05) }"""

Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def client(plain: dict[str, Any]) -> Iterator[Client]:
    client, server = listen(plain)
    yield client
    server.should_exit = True


@pytest.fixture(scope="module")
def closed(guarded: dict[str, Any]) -> Iterator[Client]:
    """The server that asks for tokens."""
    client, server = listen(guarded)
    yield client
    server.should_exit = True


@pytest.fixture(scope="module")
def browser(client: Client, closed: Client) -> Iterator[Browser]:
    """One Chromium for all; the servers come first, because no other event loop starts in this thread meanwhile."""
    program = shutil.which("chromium")
    assert program, "there is no chromium on the PATH: make system"
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens a page of a server in a window of its own; at the end none of them has complained.

    refused: whether the server refuses something there, which Chromium tells as an error.
    """
    opened: list[Page] = []
    complaints: list[str] = []

    def heard(message: ConsoleMessage, refused: bool) -> None:
        if message.type in ("error", "warning") and not (refused and "a status of 4" in message.text):
            complaints.append(message.text)

    def open_page(client: Client, path: str, *, refused: bool = False, **options: Any) -> Page:
        context = browser.new_context(base_url=f"http://127.0.0.1:{client.port}", **options)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(VIOLATIONS)
        page = context.new_page()
        page.on("console", lambda message: heard(message, refused))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        opened.append(page)
        page.goto(path)
        return page

    expect.set_options(timeout=PATIENCE)
    yield open_page
    for page in opened:
        complaints += page.evaluate("violated")
        assert page.evaluate("window.hacked") is None
        page.context.close()
    assert not complaints


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("Token").fill(SECRETS[name])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def settled(page: Page) -> None:
    """The form is answered, and the answer explained."""
    page.wait_for_selector("form[data-live]:not([aria-busy])")
    page.wait_for_selector("#why:not(.old) h3")


def shares(page: Page) -> dict[str, float]:
    found = page.eval_on_selector_all("#answer [data-class]", "all => all.map(e => [e.dataset.class, e.dataset.share])")
    return {name: float(share) for name, share in found}


def written(page: Page, label: str, value: str) -> None:
    """Writes into a field, and waits until that is answered."""
    key = page.get_by_label(label, exact=True).get_attribute("name")
    sent = f"{key}={quote(value)}"
    with page.expect_response(lambda each: each.url.endswith(PATH) and sent in (each.request.post_data or "")):
        page.get_by_label(label, exact=True).fill(value)
    settled(page)


def test_one_signs_in_looks_and_signs_out(visit: Visit, closed: Client) -> None:
    page = visit(closed, "/jobs", refused=True)
    assert page.url.endswith("/sign-in?next=/jobs")
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type("a guess")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("does not know that token")
    sign_in(page, "trainer")
    assert page.url.endswith("/jobs")
    (kept,) = page.context.cookies()
    assert (kept["httpOnly"], kept["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Models")
    expect(page.get_by_role("link", name=BIRDS)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    assert page.context.cookies() == []


def test_the_playground_says_what_the_api_says(visit: Visit, client: Client) -> None:
    page = visit(client, "/")
    page.get_by_role("link", name=BIRDS).click()
    settled(page)
    row = next(m for m in client.ask("GET", "/api/v1/models")[1]["models"] if m["name"] == BIRDS)["example"]
    name = quote(BIRDS, safe="")
    (item,) = client.predict(name, row)[1]["predictions"]
    assert shares(page) == pytest.approx(item["probabilities"], abs=1e-6)
    written(page, "bill_length_mm", "49.5")
    written(page, NASTY, "14.25")
    page.get_by_label("island").select_option("Dream")
    page.wait_for_selector("#why tr[data-column=island] .value:text-is('Dream')")
    settled(page)
    asked = {**row, "bill_length_mm": 49.5, NASTY: 14.25, "island": "Dream"}
    (item,) = client.predict(name, asked)[1]["predictions"]
    assert shares(page) == pytest.approx(item["probabilities"], abs=1e-6)
    assert page.get_attribute("#answer [data-answer]", "data-answer") == item["prediction"]
    told = client.ask("POST", f"/api/v1/models/{name}/explain", asked)[1]["explanations"][0]
    added = told["contributions"][item["prediction"]]
    steps = page.eval_on_selector_all("#why tr[data-column]", "all => all.map(e => e.dataset.column)")
    assert steps == sorted(added, key=lambda column: -abs(added[column]))
    page.get_by_role("button", name="Back to the typical row").click()
    expect(page.get_by_label("bill_length_mm", exact=True)).not_to_have_value("49.5")


def test_a_slider_moves_the_number_the_answer_and_the_waterfall(visit: Visit, client: Client) -> None:
    page = visit(client, PATH)
    settled(page)
    number, slider = (page.get_by_label(f"bill_length_mm{more}", exact=True) for more in ("", ", as a slider"))
    before, drawn = shares(page), page.inner_html("#why")
    slider.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    moved = number.input_value()
    assert float(moved) == pytest.approx(float(slider.input_value()))
    page.wait_for_selector(f"#why tr[data-column=bill_length_mm] .value:text-is('{float(moved):g}')")
    settled(page)
    assert shares(page) != before
    assert page.inner_html("#why") != drawn
    written(page, "bill_length_mm", "40")
    assert float(slider.input_value()) == 40


def test_what_does_not_fit_is_a_sentence_beside_the_field_until_it_is_mended(visit: Visit, client: Client) -> None:
    page = visit(client, PATH)
    settled(page)
    field = page.get_by_label("body_mass_g", exact=True)
    field.fill("heavy")
    slot = page.locator(f"#{field.get_attribute('id')}-error")
    expect(slot).to_contain_text("body_mass_g takes a number, such as")
    expect(slot).to_contain_text("“heavy” is none.")
    assert str(slot.get_attribute("id")) in str(field.get_attribute("aria-describedby"))
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#answer [data-answer]")).to_have_count(0)
    field.fill("4200")
    expect(slot).to_be_empty()
    settled(page)
    assert field.get_attribute("aria-invalid") is None


def test_the_whole_way_by_keyboard_alone(visit: Visit, client: Client) -> None:
    page = visit(client, "/")

    def tab_to(wanted: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            name, outline, known = page.evaluate(
                "() => { const e = document.activeElement; return [e.tagName, getComputedStyle(e).outlineStyle, "
                "[e.getAttribute('href'), e.id, e.textContent.trim()]] }"
            )
            assert name == "BODY" or outline != "none", (
                known
            )  # from the last one Tab leaves the page, for its beginning
            if wanted in known:
                return
        raise AssertionError(f"no way by Tab to {wanted}")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(PATH)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{PATH}")
    settled(page)
    tab_to(str(page.get_by_label("bill_length_mm", exact=True).get_attribute("id")))
    page.keyboard.press("Control+A")
    page.keyboard.type("51")
    page.keyboard.press("Enter")
    page.wait_for_selector("#why tr[data-column=bill_length_mm] .value:text-is('51')")
    settled(page)
    assert page.get_attribute("#answer", "aria-live") == "polite"
    tab_to("Model card")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Model card")).to_be_in_viewport()


@pytest.mark.parametrize("path", ["/", PATH, "/models/cars", "/jobs", "/sign-in"])
def test_each_page_fits_a_phone_and_says_what_its_parts_are(visit: Visit, closed: Client, path: str) -> None:
    page = visit(closed, "/sign-in", viewport=PHONE)
    if path != "/sign-in":
        sign_in(page, "admin")
        page.goto(path)
    if "/models/" in path:
        settled(page)
        expect(page.locator("#traffic table")).to_be_visible()
        page.eval_on_selector_all("details", "all => all.forEach(e => { e.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(UNKNOWN) == []
    levels = page.eval_on_selector_all("h1, h2, h3, h4", "all => all.map(e => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.title()
    small = page.eval_on_selector_all("button", "all => all.filter(e => e.offsetHeight < 24).map(e => e.outerHTML)")
    assert small == []


def test_light_and_dark_differ_and_both_can_be_read(visit: Visit, closed: Client) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page = visit(closed, "/sign-in", color_scheme=scheme, reduced_motion="reduce", refused=True)
        page.get_by_label("Token").fill("a guess")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()
        assert page.eval_on_selector("[role=alert]", CONTRAST) >= 4.5
        sign_in(page, "admin")
        page.goto(PATH)
        settled(page)
        for part in ("h1", ".lead", "dt", ".inside a", ".told .soft", ".answer", "button", "button.quiet", "caption"):
            assert page.eval_on_selector(part, CONTRAST) >= 4.5, (scheme, part)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_a_session_that_is_over_is_told_where_the_answer_stood(visit: Visit, closed: Client) -> None:
    page = visit(closed, "/", refused=True)
    sign_in(page, "admin")
    page.goto("/models/cars")
    expect(page.locator("#answer [data-answer]")).to_be_visible()
    page.context.clear_cookies()
    page.get_by_label("wt", exact=True).fill("3")
    expect(page.locator("#answer")).to_contain_text("your session is over")


def test_the_list_of_jobs_keeps_itself_up_to_date(visit: Visit, closed: Client, roots: Path) -> None:
    page = visit(closed, "/sign-in")
    sign_in(page, "trainer")
    page.clock.install()
    page.goto("/jobs")
    expect(page.get_by_role("heading", name="latecomer")).to_have_count(0)
    jobs = Jobs(roots)
    job = jobs.add("train", "latecomer", {"data": "x.csv", "target": "y", "minutes": 1.0})
    jobs.keep(job, state="done", began=time.time(), ended=time.time(), message="won by linear")
    page.clock.run_for(30_000)  # a list in which nothing goes on is looked at again after ten seconds
    expect(page.get_by_role("heading", name="latecomer")).to_be_visible()


def test_a_contest_s_form_keeps_what_was_written_and_says_what_is_wrong(visit: Visit, closed: Client) -> None:
    page = visit(closed, "/sign-in", refused=True)
    sign_in(page, "trainer")
    page.get_by_role("link", name="Jobs").click()
    page.get_by_label("Rows").fill("rows.csv")
    page.get_by_label("Minutes").fill("soon")
    page.get_by_label("Target").fill("price")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#minutes-error")).to_have_text("minutes takes a number, such as 5; “soon” is none.")
    expect(page.get_by_label("Rows")).to_have_value("rows.csv")
