"""Pages with the component in them, under the policy of the service's own page."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page

from bentos.skin.runtime.web import PAGE_HEADERS, TEXTS, source

TEXT: dict[str, Any] = json.loads(source(TEXTS).read_text())
CONCERNS = ("acne", "wrinkles", "redness", "pigmentation", "shine", "texture")

PAGE = """<!doctype html>
<html lang="LANG">
  <meta charset="utf-8" />
  <meta name="viewport" content="width=device-width" />
  <title>Component</title>
  <link rel="stylesheet" href="test.css" />
  <main><h1>Component</h1>BODY</main>
  <script type="module" src="shine-analysis.js"></script>
</html>"""
STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 80rem; padding: 1rem; font-family: system-ui;
  background: light-dark(#f5f7f9, #11161c); color: light-dark(#18212b, #e7ecf1); }
"""

Analysis = dict[str, Any]


def open_component(
    page: Page, service: str, body: str = "<shine-analysis></shine-analysis>", lang: str = "en", **files: bytes
) -> Locator:
    """Open a page of the service's origin that has the component in it.

    Args:
        page: of the service's origin.
        service: its address.
        body: of the page.
        lang: of the page.
        files: beside the page, by name with a double underscore for the dot.

    Returns:
        The component, or the first of them.
    """
    files |= {"test__css": STYLE.encode()}
    for name, content in files.items():
        kind = {"css": "text/css", "png": "image/png"}.get(name.split("__")[-1], "application/octet-stream")
        serve_file(page, f"{service}/demo/{name.replace('__', '.')}", content, kind)
    document = PAGE.replace("LANG", lang).replace("BODY", body).encode()
    serve_file(page, f"{service}/demo/test", document, "text/html", **PAGE_HEADERS)
    page.goto(f"{service}/demo/test")
    return page.locator("shine-analysis").first


def serve_file(page: Page, address: str, content: bytes, kind: str, **headers: str) -> None:
    """Answer an address with a file."""
    page.route(address, lambda route: route.fulfill(body=content, headers={**headers, "content-type": kind}))


def give(component: Locator, analysis: Analysis, photo: str | None = "photo.png", **properties: Any) -> None:
    """Have the component show an Analysis, with the photo at an address, and wait for it."""
    component.evaluate(
        "(node, given) => Object.assign(node, given)", {"analysis": analysis, "photo": photo, **properties}
    )
    component.locator(".about").wait_for()


def events(component: Locator, *names: str) -> Callable[[], list[dict[str, Any]]]:
    """Keep the details of events from now on; what is returned gives those that have come, as soon as one has."""
    script = """(node, names) => { window.kept = [];
        const keep = ({ type, detail }) => window.kept.push({ type, ...detail, message: detail.message });
        for (const name of names) node.ownerDocument.addEventListener(name, keep); }"""
    component.evaluate(script, list(names))

    def kept() -> list[dict[str, Any]]:
        component.page.wait_for_function("() => window.kept.length")
        return component.page.evaluate("() => window.kept")

    return kept


def changed(analysis: Analysis, **paths: Any) -> Analysis:
    """A copy with other values, each by its path with a double underscore between its keys."""
    copy = deepcopy(analysis)
    for path, value in paths.items():
        *parents, last = path.split("__")
        node = copy
        for key in parents:
            node = node[key]
        node[last] = value
    return copy


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the accessibility of a page."""
    return [
        f"{rule['id']}: {[node['target'] for node in rule['nodes']]} {rule['nodes'][0]['failureSummary']}"
        for rule in Axe().run(page).response["violations"]
    ]


def overflowing(component: Locator) -> list[str]:
    """The elements of the component that reach beyond the window, to its right or left."""
    return component.evaluate(
        """(node) => [...node.shadowRoot.querySelectorAll("*:not(svg *, .hidden)")]
            .filter((element) => { const { left, right, width } = element.getBoundingClientRect();
                return width && (right > document.documentElement.clientWidth + 0.5 || left < -0.5); })
            .map((element) => `${element.localName}.${element.className}`)"""
    )
