"""The forms that change the traffic, as an administrator uses them: in a real Chromium, on a phone, in the dark."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from framework.serving.app import Application
from tests.framework.serving.http_client import listen
from tests.framework.serving.page.test_browser import CONTRAST, NAMELESS, PATIENCE, PHONE, UNKNOWN
from tests.framework.serving.traffic.conftest import NAME, configuration


@pytest.fixture(scope="module")
def address(registry: str) -> Iterator[str]:
    application = Application()
    client, server = listen({**configuration(), "secret": "of the server"}, application=application)
    yield f"http://127.0.0.1:{client.port}"
    server.should_exit = True


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "there is no chromium on the PATH: make system"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()


def opened(browser: Browser, address: str, **options: object) -> Page:
    """The model's page with its forms, for the administrator."""
    context = browser.new_context(base_url=address, **options)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"/sign-in?next=/models/{NAME}")
    page.get_by_label("Token").fill("secret")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Change it").click()
    expect(page.get_by_role("button", name="Share out")).to_be_visible()
    return page


def test_requests_are_shared_out_and_given_back_and_what_is_wrong_is_told(browser: Browser, address: str) -> None:
    page = opened(browser, address)
    page.locator("#w-1").fill("60")
    page.locator("#w-2").fill("40")
    page.get_by_label("Sticky by").fill("tenant")
    page.get_by_role("button", name="Share out").click()
    page.wait_for_url(f"**/models/{NAME}#traffic")
    expect(page.locator("#traffic")).to_contain_text("The requests are split. Who has the same tenant")
    expect(page.locator("#traffic svg.split")).to_have_attribute("aria-label", "version 1: 60.0 %, version 2: 40.0 %")
    page.get_by_role("heading", name="Change it").click()
    page.locator("#w-2").fill("heaps")
    page.locator("#w-2").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("“heaps” is none")
    expect(page.locator("#w-2")).to_have_value("heaps")
    page.get_by_role("button", name="Back to the version that is served").click()
    page.wait_for_url(f"**/models/{NAME}#traffic")
    expect(page.locator("#traffic")).to_contain_text("One version answers all requests.")
    page.context.close()


def test_the_forms_fit_a_phone_and_can_be_read_in_light_and_dark(browser: Browser, address: str) -> None:
    for scheme in ("light", "dark"):
        page = opened(browser, address, viewport=PHONE, color_scheme=scheme, reduced_motion="reduce")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate(UNKNOWN) == []
        for part in (".steer legend", ".steer label", ".steer .hint", ".steer button", ".steer button.quiet"):
            assert page.eval_on_selector(part, CONTRAST) >= 4.5, (scheme, part)
        page.context.close()
