"""The JavaScript client: against faults and a running service, its types, its package, and what its README says."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from bentos.skin import __version__
from tests.client.dts import Declarations, of_schema
from tests.server import PORTRAIT, ROOT, Server

CLIENT = ROOT / "bentos" / "client"
README = CLIENT / "README.md"
MODULE = CLIENT / "shine-client.js"
MAX_LINES = 400
# The client's own interfaces; all others are of the service's answers.
OPTIONS = {"CallOptions", "UploadOptions", "FindingOptions", "BatchOptions", "AnalyzeOptions", "OverlayOptions"}
OWN = {*OPTIONS, "ClientOptions", "ManyOptions", "Progress", "FailedPhoto", "ShineErrorDetails"}
OPERATIONS = {
    "analyze": ("post", "/analyze"),
    "quality": ("post", "/quality"),
    "overlay": ("post", "/overlay"),
    "analyzeBatch": ("post", "/analyze_batch"),
    "analyzeMany": ("post", "/analyze"),
    "status": ("get", "/ml/status"),
    "version": ("get", "/version"),
    "health": ("get", "/health"),
    "ready": ("get", "/ready"),
}
# Calls each method with an option that there is not: the error lists those that there are.
KNOWN_OPTIONS = """
import { ShineClient, ShineError } from "%s";
const shine = new ShineClient("http://127.0.0.1:9", { retries: 0 });
const known = {};
const own = Object.getOwnPropertyNames(ShineClient.prototype).filter((name) => name !== "constructor");
for (const name of own) {
  for (const given of [[{ none: 1 }], [[], { none: 1 }]]) {
    try {
      await shine[name](...given);
    } catch ({ message }) {
      const found = /^There is no option none; there are (.*)\\.$/.exec(message);
      if (found) known[name] = found[1].split(", ");
    }
  }
}
console.log(JSON.stringify({ known, error: Object.keys(new ShineError("timeout", "")) }));
"""


def run(*command: str, cwd: Path, **env: str) -> str:
    """What a command prints.

    Raises:
        AssertionError: it failed; with what it said.
    """
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    done = subprocess.run(
        command, cwd=cwd, env={"PATH": os.environ["PATH"], **env}, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def types() -> Declarations:
    return Declarations((CLIENT / "shine-client.d.ts").read_text())


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(server.url + "/docs.json").json()
    return answer


@pytest.mark.parametrize("name", ["javascript_faults", "javascript_service"])
def test_node_runs_the_tests_of_the_client(name: str, server: Server) -> None:
    tests = str(ROOT / "tests" / "client" / f"{name}.test.mjs")
    printed = run(
        "node", "--test", "--test-reporter=tap", tests, cwd=ROOT, SHINE_URL=server.url, PORTRAIT=str(PORTRAIT)
    )
    passed, failed = (int(re.findall(rf"^# {word} (\d+)$", printed, re.MULTILINE)[0]) for word in ("pass", "fail"))
    assert passed > 5
    assert failed == 0


def test_the_module_is_short_and_fit_to_be_joined_with_others_in_one_file() -> None:
    lines = MODULE.read_text().splitlines()
    assert len(lines) <= MAX_LINES
    exports = [line for line in lines if line.startswith(("import", "export"))]
    assert all(re.fullmatch(r"export class \w+ .*\{", line) for line in exports), exports
    names = re.findall(r"^(?:export )?(?:async )?(?:const|class|function) (\w+)", "\n".join(lines), re.MULTILINE)
    assert len(names) == len(set(names)) > 20


def test_the_types_of_answers_are_those_of_the_service(types: Declarations, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(types.interfaces) - OWN == set(schemas)
    for name, schema in schemas.items():
        interface = types.interfaces[name]
        expected = {field: of_schema(kind) for field, kind in schema["properties"].items()}
        assert {field: types.read(kind) for field, kind in interface.fields.items()} == expected, name
        assert interface.optional == set(expected) - set(schema["required"]), name


def test_each_method_returns_what_its_endpoint_answers(types: Declarations, document: dict[str, Any]) -> None:
    methods = types.methods("ShineClient")
    assert set(methods) == set(OPERATIONS)
    for name, (method, path) in OPERATIONS.items():
        (content,) = document["paths"][path][method]["responses"]["200"]["content"].values()
        expected = content["schema"].get("$ref", "Blob").rpartition("/")[2]
        if name == "analyzeBatch":
            expected = types.interfaces[expected].fields["results"]
        if name == "analyzeMany":
            assert methods[name][1] == f"AsyncGenerator<{expected} | FailedPhoto, void, undefined>"
        else:
            assert methods[name][1] == f"Promise<{expected}>"


def test_the_options_are_those_of_the_service(types: Declarations, document: dict[str, Any]) -> None:
    for name in ("analyze", "quality", "overlay", "analyzeBatch", "analyzeMany"):
        (content,) = document["paths"][OPERATIONS[name][1]]["post"]["requestBody"]["content"].values()
        fields = {field: kind for field, kind in content["schema"]["properties"].items() if "image" not in field}
        options = types.fields(types.methods("ShineClient")[name][0])
        for own in ("signal", "onProgress", "concurrency"):
            options.pop(own, None)
        assert {snake_case(option) for option in options} == set(fields), name
        for option, kind in options.items():
            schema = fields[snake_case(option)]
            if "pattern" in schema:  # a comma list
                words = re.findall(r"\w+", schema["pattern"].partition(")")[0])
                expected: Any = {("array", frozenset(("literal", word) for word in words))}
            else:
                expected = of_schema(schema)
            assert types.read(kind) - {"null", "undefined"} == expected, (name, option)


def test_the_module_knows_the_methods_options_and_fields_that_its_types_have(
    types: Declarations, tmp_path: Path
) -> None:
    (tmp_path / "ask.mjs").write_text(KNOWN_OPTIONS % MODULE.as_uri())
    found = json.loads(run("node", "ask.mjs", cwd=tmp_path))
    expected = {name: set(types.fields(options)) for name, (options, _) in types.methods("ShineClient").items()}
    assert {name: set(options) for name, options in found["known"].items()} == expected
    fields = re.findall(r"^  readonly (\w+): ", types.classes["ShineError"], re.MULTILINE)
    assert set(found["error"]) == {"name", *fields}


def snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def blocks(language: str) -> list[str]:
    """The code in the README's section on JavaScript that is marked with a language."""
    section = README.read_text().partition("## JavaScript\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def test_the_package_is_built_installed_and_used_as_the_readme_says(server: Server, tmp_path: Path) -> None:
    (tmp_path / "bentos").symlink_to(ROOT / "bentos")
    (tmp_path / "package.json").write_text('{"private": true}')
    npm = {"npm_config_cache": str(tmp_path / "cache"), "npm_config_offline": "true", "npm_config_audit": "false"}
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    (commands,) = blocks("sh")
    run("bash", "-e", "-c", commands, cwd=tmp_path, HOME=str(tmp_path), npm_config_update_notifier="false", **npm)
    installed = tmp_path / "node_modules" / "shine-client"
    listed = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    package = json.loads((CLIENT / "package.json").read_text())
    assert listed == {"package.json", *package["files"]}
    assert package["version"] == __version__
    (script,) = blocks("js")
    (tmp_path / "analyze.mjs").write_text(script.replace("http://localhost:5000", server.url))
    (tmp_path / "note.txt").write_text("no photo")
    printed = run("node", "analyze.mjs", str(PORTRAIT), "note.txt", "gone.jpg", cwd=tmp_path).splitlines()
    assert re.fullmatch(r"heuristic \w+ \d+", printed[0])
    assert [line.split()[0] for line in printed[1:]] == ["image_format_unsupported", "photo_unreadable"]
    texts = 'console.log(Object.keys(require("shine-client/texts.json")).join())'
    assert run("node", "--eval", texts, cwd=tmp_path).strip() == "en,de"


# As much of a browser as the README's page touches.
BROWSER = """
const page = [{ files: [] }, { value: 0 }, { textContent: "" }];
globalThis.document = { baseURI: "http://127.0.0.1/", querySelectorAll: () => page };
globalThis.XMLHttpRequest = (await import("%s")).NodeXMLHttpRequest;
await import("./page.mjs");
const { readFile } = await import("node:fs/promises");
for (const content of [await readFile(process.env.PORTRAIT), "no photo"]) {
  page[0].files = [new Blob([content])];
  await page[0].onchange();
  console.log(JSON.stringify([page[1].value, page[2].textContent]));
}
"""


def test_the_page_of_the_readme_shows_findings_and_errors(server: Server, tmp_path: Path) -> None:
    (html,) = blocks("html")
    script = html.partition('<script type="module">')[2].partition("</script>")[0]
    shutil.copy(MODULE, tmp_path / "shine-client.mjs")
    page = script.replace("http://localhost:5000", server.url).replace("shine-client.js", "shine-client.mjs")
    (tmp_path / "page.mjs").write_text(page)
    (tmp_path / "browser.mjs").write_text(BROWSER % (ROOT / "tests" / "client" / "scripted.mjs").as_uri())
    shown = [json.loads(line) for line in run("node", "browser.mjs", cwd=tmp_path, PORTRAIT=str(PORTRAIT)).splitlines()]
    assert [loaded for loaded, _ in shown] == [1, 1]
    assert json.loads(shown[0][1])["concerns"]["acne"]["severity"]
    assert "Send the bytes of a photo" in shown[1][1]
