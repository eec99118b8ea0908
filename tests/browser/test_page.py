"""The page in a browser, the quick part: it loads, analyses, keeps to its policy, and asks for a key."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Request, expect

from tests.browser.actions import choose, portrait_file, wait_for_findings
from tests.browser.conftest import Visits
from tests.server import Server

KEY = "the-key-of-the-page-4711"


def test_the_page_says_what_becomes_of_a_photo_and_what_runs_there(visit: Visits, demo: str) -> None:
    page = visit(demo.removesuffix("/demo"))  # the address that a newcomer opens
    assert page.url == demo
    expect(page.locator(".promise")).to_contain_text("never stored and never logged. A test in the source")
    expect(page.locator("#service")).to_have_text("Shine 1.0.0 · phase hybrid · model: face-skin 2.0.0 (ready)")
    expect(page.locator("footer")).to_contain_text("Not a medical device.")
    with page.expect_popup() as figures:
        page.get_by_role("link", name="The figures and their sources").click()
    assert '"accuracy"' in figures.value.locator("body").inner_text()
    assert figures.value.url == f"{demo.removesuffix('/demo')}/ml/status"


def test_the_portrait_is_analysed(visit: Visits, demo: str) -> None:
    page = visit(demo)
    page.get_by_role("button", name="Try with this portrait").click()
    findings = wait_for_findings(page, "Portrait")
    assert findings.evaluate("element => element.analysis.source") == "model"
    expect(findings).to_contain_text("Wrinkles")
    expect(findings.get_by_role("status")).to_have_text("The findings are ready.")
    expect(page.locator("#result-title")).to_be_focused()


def test_the_policy_stops_what_is_not_the_pages_own(visit: Visits, demo: str) -> None:
    page = visit(demo)
    visit.expected |= {"Content Security Policy", "127.0.0.2"}
    refused = page.evaluate(
        """async () => {
          const refused = [];
          document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "globalThis.ran = true";
          document.head.append(script);
          document.body.setAttribute("style", "color: red");
          document.body.insertAdjacentHTML("beforeend", '<img src="http://127.0.0.2/x.png">');
          await fetch("http://127.0.0.2/x").catch(() => {});
          await new Promise((resolve) => setTimeout(resolve, 100));
          return [...new Set(refused)].sort().concat(String(globalThis.ran));
        }"""
    )
    assert refused == ["connect-src", "img-src", "script-src-elem", "style-src-attr", "undefined"]


@pytest.fixture(scope="module")
def locked(serve_shared: Callable[..., Server], no_weights: Path) -> Server:
    """A service in phase full that wants a key and has no weights."""
    return serve_shared(SHINE_PHASE="full", SHINE_WEIGHTS_URI=str(no_weights), SHINE_API_KEYS=KEY).wait()


@pytest.mark.long
def test_a_key_is_asked_for_and_kept_in_the_tab_alone(visit: Visits, locked: Server) -> None:
    visit.expected.add("401")
    page = visit(f"{locked.url}/demo")
    form = page.get_by_role("form", name="Enter your key")
    expect(form).to_contain_text("This service asks for a key. Enter the key that its operator gave you.")
    expect(page.get_by_label("Key of this service")).to_be_focused()
    field = page.get_by_label("Key of this service")
    expect(field).to_have_attribute("aria-invalid", "false")
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.url.endswith("/analyze") else None)
    choose(page, portrait_file())
    expect(page.locator("#state")).to_contain_text("Waiting for a key")
    expect(page.get_by_role("progressbar")).to_have_count(0)
    expect(field).to_be_focused()
    assert sent == []

    reason = page.get_by_role("alert").filter(has_text="This key is not valid.")
    page.evaluate(
        """() => { window.said = [];
            const reason = document.getElementById("key-reason");
            new MutationObserver(() => window.said.push(reason.textContent)).observe(reason, { childList: true }); }"""
    )
    for wrong in ("not-the-key", "not-the-key", "schlüssel"):
        page.evaluate("window.said.length = 0")
        field.fill(wrong)
        page.get_by_role("button", name="Use this key").click()
        page.wait_for_function("() => window.said.at(-1)")
        expect(reason).to_be_visible()
        expect(field).to_be_focused()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description(re.compile("^This key is not valid"))
        expect(page.locator("#state")).to_contain_text("Waiting for a key")
        expect(page.get_by_role("progressbar")).to_have_count(0)
    page.get_by_label("Key of this service").fill(KEY)
    page.keyboard.press("Enter")
    wait_for_findings(page)
    expect(form).to_be_hidden()
    expect(page.locator("#service")).to_contain_text("phase full")
    assert page.evaluate("Object.values(sessionStorage)") == [KEY]
    assert KEY not in page.evaluate("document.cookie + JSON.stringify(localStorage) + location.href")

    page.reload()  # the same tab
    expect(page.locator("#service")).to_contain_text("phase full")
    expect(form).to_be_hidden()
    other = page.context.new_page()
    visit.watch(other, locked.url)
    other.goto(page.url)
    expect(other.get_by_role("form", name="Enter your key")).to_be_visible()
