"""The web page and its files over HTTP: types, headers, caching, and the component in one file."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from bentos.skin.runtime import web
from tests.server import ROOT, Server
from tests.service.expect import is_error

FILES = ("page.css", "page.js", "intake.js", "camera.js", "compare.js", "queue.js", "icon.svg", "blank.svg")
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".jpg": "image/jpeg"}
SHARED = ("shine-analysis.js", "shine-client.js", "texts.json", "portrait.jpg")


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def test_browsers_are_led_to_the_page_by_a_relative_address(client: httpx.Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "demo")
    assert urljoin("https://host/prefix/", answer.headers["location"]) == "https://host/prefix/demo"
    answer = client.get("/demo/")
    assert answer.status_code == 307
    assert urljoin("https://host/prefix/demo/", answer.headers["location"]) == "https://host/prefix/demo"


def test_the_page_has_a_strict_policy_and_may_use_the_camera(client: httpx.Client) -> None:
    answer = client.get("/demo")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in str(policy)
    assert answer.headers["permissions-policy"] == "camera=(self)"
    assert answer.headers["cache-control"] == "no-cache"
    for name, value in {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
    }.items():
        assert answer.headers.get_list(name) == [value]


def test_the_page_names_its_files_by_relative_addresses_and_no_other_host(client: httpx.Client) -> None:
    page = client.get("/demo").text
    addresses = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert addresses
    for address in addresses:
        assert not re.match(r"/|[a-z]+:", address), address
        assert client.get(urljoin("/demo", address)).status_code == 200, address
    assert not re.search(r"<style|<script(?![^>]*src=)|\son\w+=|\sstyle=", page)  # which the policy would refuse


@pytest.mark.parametrize("name", FILES)
def test_files_of_the_page_stay_with_its_origin(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/demo/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == TYPES[Path(name).suffix]
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("name", SHARED)
def test_what_other_apps_load_may_be_read_by_every_origin(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/demo/{name}", headers={"origin": "https://app.example"})
    assert answer.status_code == 200
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    assert answer.headers.get_list("cross-origin-resource-policy") == ["cross-origin"]


@pytest.mark.parametrize("path", ["/demo", "/demo/page.css", "/demo/shine-analysis.js", "/demo/portrait.jpg"])
def test_a_file_that_is_known_is_not_sent_again(client: httpx.Client, path: str) -> None:
    first = client.get(path)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["cache-control"] == "no-cache"
        # Browsers take the headers of the 304 over.
        assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert client.get(path, headers={"if-none-match": '"other"'}).content == first.content


@pytest.mark.parametrize("path", ["/demo", "/demo/page.js", "/demo/shine-analysis.js"])
def test_head_answers_as_get_without_the_body(client: httpx.Client, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/demo", "/demo/page.js"])
def test_a_wrong_method_is_405(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    is_error(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    "name", ["nothing.js", "elements.js", "index.html", "a/page.js", "%2e%2e/web.py", "..%2fsettings.py", "page.js/"]
)
def test_an_unknown_file_is_404(client: httpx.Client, name: str) -> None:
    is_error(client.get(f"/demo/{name}"), 404, "not_found")


def test_a_pages_files_are_one_label_of_the_metrics(client: httpx.Client) -> None:
    client.get("/demo/page.js")
    client.get("/demo/scanner.php")
    metrics = client.get("/metrics").text
    assert 'endpoint="/demo"' in metrics
    assert "/demo/" not in metrics


def test_the_component_is_one_module_that_imports_nothing(client: httpx.Client) -> None:
    module = client.get("/demo/shine-analysis.js").text
    assert not re.search(r"^\s*import\b|\bfrom \"\./", module, re.MULTILINE)
    for name in ("ShineClient", "ShineError"):
        assert module.count(f"export class {name} ") == 1
    assert 'customElements.define("shine-analysis"' in module
    texts = json.loads((ROOT / "bentos" / "client" / "shine_client" / "texts.json").read_text())
    constant = re.search(r"^export const TEXTS = (\{.*?^\});$", module, re.MULTILINE | re.DOTALL)
    assert constant is not None
    assert json.loads(constant[1]) == texts


def test_names_at_top_level_of_the_component_are_unique() -> None:
    module, _ = web.assemble("shine-analysis.js")
    names = re.findall(r"^(?:export )?(?:async )?(?:const|let|class|function\*?) (\w+)", module, re.MULTILINE)
    assert len(names) > 10
    assert {name for name in names if names.count(name) > 1} == set()


@pytest.mark.long
def test_a_built_wheel_holds_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    subprocess.run(command, cwd=_copy(tmp_path), check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"bentos/skin/web/{path.name}" for path in web.WEB.iterdir()} <= names
    assert {"bentos/client/shine-client.js", "bentos/client/shine_client/texts.json"} <= names


def _copy(folder: Path) -> Path:
    """The sources, so that nothing is built beside them."""
    to = folder / "source"
    to.mkdir()
    subprocess.run(["cp", "-r", *(str(ROOT / name) for name in _SOURCES), str(to)], check=True)
    return to


_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "service.py", "bentos", "deploy", "training")
