"""A real server, a real Chromium, and pages whose console errors and requests to other hosts fail the test.

Screenshots are kept in the folder that SCREENSHOTS names, else in the test's own.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    expect,
    sync_playwright,
)

from tests.server import Server

CHROMIUM = Path("/usr/bin/chromium")
# What Chromium writes to the console for each answer of 400 and more: no fault of the page where a test expects it.
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (\d{3})")
WAIT_MS = 20_000  # for what the page is to show: the service may be loading its model


class Visits:
    """Opens pages in windows of their own, and tells afterwards what went wrong in them.

    Attributes:
        expected: statuses of answers, as text, and other parts of console errors that the test expects.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.expected: set[str] = set()
        self.faults: list[str] = []

    def __call__(
        self,
        address: str,
        *,
        language: str = "en",
        dark: bool = False,
        width: int = 1280,
        height: int = 900,
        permissions: tuple[str, ...] = (),
        **options: Any,
    ) -> Page:
        """Open an address in a new window.

        Args:
            address: of the page, whole.
            language: of the browser.
            dark: whether its user prefers dark colours.
            width, height: of the window, px.
            permissions: what is allowed without asking, e.g. "camera".
            options: others of `Browser.new_context`.
        """
        context = self._browser.new_context(
            locale=language,
            color_scheme="dark" if dark else "light",
            viewport={"width": width, "height": height},
            accept_downloads=True,
            **options,
        )
        if permissions:
            context.grant_permissions(list(permissions), origin=_origin(address))
        context.set_default_timeout(WAIT_MS)
        self._contexts.append(context)
        page = context.new_page()
        self.watch(page, _origin(address))
        page.goto(address)
        return page

    def watch(self, page: Page, origin: str) -> None:
        """Note what goes wrong in a page from now on."""

        def on_console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.faults.append(f"console: {message.text} ({message.location.get('url')})")

        def on_request(request: Request) -> None:
            if urlsplit(request.url).scheme not in ("data", "blob") and _origin(request.url) != origin:
                self.faults.append(f"request to another host: {request.url}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", on_request)

    def unexpected(self) -> list[str]:
        """The faults that the test did not expect."""
        return [fault for fault in self.faults if not self._is_expected(fault)]

    def _is_expected(self, fault: str) -> bool:
        status = REFUSED.search(fault)
        return status[1] in self.expected if status else any(part in fault for part in self.expected)

    def close(self) -> None:
        """Close all windows."""
        for context in self._contexts:
            context.close()


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright, where Chromium is; for one module: while it runs, no other test of the process can use asyncio."""
    if not CHROMIUM.exists():
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed: apt-get install chromium")
        pytest.skip("needs Chromium: apt-get install chromium")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as running:
        yield running


def launch(playwright: Playwright, *arguments: str) -> Browser:
    """Start Chromium with more arguments; it sandboxes nothing, for it may run as root."""
    return playwright.chromium.launch(
        executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage", *arguments]
    )


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """A Chromium without a camera."""
    running = launch(playwright)
    yield running
    running.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visits]:
    """Open pages; whatever goes wrong in them fails the test."""
    visits = Visits(browser)
    yield visits
    visits.close()
    assert visits.unexpected() == []


@pytest.fixture(scope="module")
def shine(serve_shared: Callable[..., Server]) -> Server:
    """A running service with its embedded model, shared; the pool may have stopped it since the last module."""
    return serve_shared(SHINE_PHASE="hybrid").wait_for_workers()


@pytest.fixture(scope="module")
def demo(shine: Server) -> str:
    """The address of its page."""
    return f"{shine.url}/demo"


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[[Page, str], Path]:
    """Keep a picture of a whole page under a name."""

    def take(page: Page, name: str) -> Path:
        folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        page.screenshot(path=path, full_page=True, animations="disabled")
        return path

    return take
