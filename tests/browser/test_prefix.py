"""The page behind nginx, under a path prefix: its addresses are relative, and the policy stays."""

import shutil
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.actions import wait_for_findings
from tests.browser.conftest import Visits
from tests.server import Server, free_port

pytestmark = pytest.mark.long

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
SETTINGS = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off; client_max_body_size 70m;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    location /skin/ {{ proxy_pass http://127.0.0.1:{service}/; }}
  }}
}}
"""


@pytest.fixture(scope="module")
def prefixed(shine: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the service behind nginx."""
    if NGINX is None:
        pytest.skip("needs nginx: apt-get install nginx-light")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    settings = folder / "nginx.conf"
    settings.write_text(SETTINGS.format(folder=folder, port=port, service=shine.port))
    running = subprocess.Popen([NGINX, "-c", str(settings)], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/skin"
    try:
        _wait(f"{address}/health")
        yield address
    finally:
        running.terminate()
        running.wait(10)


def _wait(address: str) -> None:
    ends = time.monotonic() + 10
    while True:
        try:
            httpx.get(address).raise_for_status()
            return
        except httpx.HTTPError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


def test_the_page_works_under_a_prefix(visit: Visits, prefixed: str) -> None:
    page = visit(f"{prefixed}/")
    assert page.url == f"{prefixed}/demo"
    outside: list[str] = []
    page.on("request", lambda request: outside.append(request.url))
    page.reload()
    page.get_by_role("button", name="Try with this portrait").click()
    findings = wait_for_findings(page, "Portrait")
    expect(page.locator("#service")).to_contain_text("phase hybrid")
    expect(findings).to_contain_text("Wrinkles")
    assert [url for url in outside if not url.startswith((f"{prefixed}/", "blob:", "data:"))] == []


def test_its_policy_and_its_redirects_pass_the_proxy(prefixed: str) -> None:
    answer = httpx.get(f"{prefixed}/demo/", follow_redirects=True)
    assert str(answer.url) == f"{prefixed}/demo"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    again = httpx.get(f"{prefixed}/demo", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


def test_the_component_finds_its_service_behind_the_prefix(visit: Visits, prefixed: str) -> None:
    page = visit(f"{prefixed}/demo")
    said = page.evaluate(
        """() => new Promise((resolve) => {
          const element = document.createElement("shine-analysis");
          element.addEventListener("shine-analysis", ({ detail }) => resolve(detail.source));
          element.addEventListener("shine-error", ({ detail }) => resolve(detail.code));
          element.src = "demo/portrait.jpg";
          document.body.append(element);
        })"""
    )
    assert said == "model"
