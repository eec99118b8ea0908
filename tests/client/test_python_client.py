"""The Python client against the real service: its methods, its types against the document, its package, its README."""

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, assert_type

import httpx
import pytest
import shine_client
from PIL import Image
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from shine_client import Analysis, AsyncShineClient, ShineClient, ShineError, models
from shine_client.calls import options
from shine_client.errors import BY_CODE, InternalError

from tests.client.conftest import Ask
from tests.server import PORTRAIT, ROOT, Server

SOURCES = ROOT / "bentos" / "client"
README = (SOURCES / "README.md").read_text()


@pytest.fixture(scope="module")
def document(server: Server) -> Any:
    """The OpenAPI document that the service serves."""
    return httpx.get(server.url + "/docs.json").json()


def test_every_method_is_typed_and_answered(server: Server) -> None:
    photo = PORTRAIT.read_bytes()
    with ShineClient(server.url) as shine:
        analysis = assert_type(shine.analyze(photo, include=["outlines", "maps"], min_confidence=0), Analysis)
        assert assert_type(analysis.concerns.redness.score, int | None) is not None
        assert analysis.face is not None
        assert assert_type(analysis.face.box.width, float) > 100
        assert analysis.outlines is not None
        assert analysis.outlines.nose is not None
        assert 0 <= assert_type(analysis.outlines.nose[0].x, float) <= analysis.image.width
        assert analysis.maps is not None
        assert analysis.maps.redness is not None
        assert analysis.maps.redness not in repr(analysis)
        assert [name for name, _ in analysis.concerns] == list(models.Concerns.model_fields)
        assert assert_type(shine.quality(photo), models.QualityAnswer).face == analysis.face
        batch = assert_type(shine.analyze_batch([photo, b"no photo"]), list[Analysis | ShineError])
        assert [type(one) for one in batch] == [Analysis, shine_client.ImageFormatUnsupported]
        picture = assert_type(shine.overlay(photo, layers=["zones", "redness"], legend=False, width=64), bytes)
        assert Image.open(io.BytesIO(picture)).size == (64, 64)
        assert assert_type(shine.status(), models.MlStatus).answers.heuristic > 0
        assert assert_type(shine.version(), models.Version).service == "shine"
        assert assert_type(shine.health(), models.Health).status == "ok"
        assert assert_type(shine.ready(), models.Readiness).ready


def test_every_coroutine_is_typed_and_answered(server: Server) -> None:
    photo = PORTRAIT.read_bytes()

    async def run() -> None:
        async with AsyncShineClient(server.url) as shine:
            analysis = assert_type(await shine.analyze(photo, include="outlines"), Analysis)
            assert analysis.outlines is not None
            assert analysis.maps is None
            assert assert_type(await shine.quality(photo), models.QualityAnswer).face == analysis.face
            batch = assert_type(await shine.analyze_batch([photo, b""]), list[Analysis | ShineError])
            assert [type(one) for one in batch] == [Analysis, shine_client.ImageUnreadable]
            assert Image.open(io.BytesIO(assert_type(await shine.overlay(photo, width=64), bytes))).width == 64
            many = [assert_type(one, Analysis | ShineError) async for one in shine.analyze_many([photo, b"no photo"])]
            assert [type(one) for one in many] == [Analysis, shine_client.ImageFormatUnsupported]
            found = (await shine.status(), await shine.version(), await shine.health(), await shine.ready())
            assert_type(found, tuple[models.MlStatus, models.Version, models.Health, models.Readiness])
            assert found[3].ready

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "options", "kind"),
    [
        ("analyze", {"require": "model", "deadline": 4}, shine_client.ModelUnavailable),
        ("analyze", {"include": ["nose"]}, shine_client.BadRequest),
        ("analyze", {"min_confidence": 2}, shine_client.BadRequest),
        ("overlay", {"width": 1}, shine_client.BadRequest),
        ("overlay", {"layers": "boxes,hair"}, shine_client.BadRequest),
    ],
)
def test_the_service_refuses_what_is_wrong(
    ask: Ask, server: Server, method: str, options: dict[str, Any], kind: type[ShineError]
) -> None:
    with pytest.raises(kind) as caught:
        ask(server.url, method, PORTRAIT, request_id="mine", **options)
    assert caught.value.request_id == "mine"
    assert caught.value.hint


def test_a_batch_of_too_many_photos_is_an_error(ask: Ask, server: Server) -> None:
    with pytest.raises(shine_client.BatchTooLarge):
        ask(server.url, "analyze_batch", [b"photo"] * 17)


# Of the client's and the service's schemas alike: what is said beside the type, and limits, which the client leaves to
# the service.
BESIDE = ("title", "description", "default", "minimum", "maximum", "pattern")


def plain(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema in one notation, without what is no type: references to tuples resolved, null and enums as lists.

    An enum that may grow, `Literal[…] | str`, is the enum.
    """
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return plain(definitions[name], definitions) if name in ("Box", "Point") else name
    if "anyOf" in schema:
        kinds = [plain(one, definitions) for one in schema["anyOf"]]
        has_null = {"type": "null"} in kinds
        kinds = [one for one in kinds if one != {"type": "null"}]
        if (
            len(kinds) == 2
            and isinstance(kinds[0], dict)
            and "enum" in kinds[0]
            and {"type": kinds[0]["type"]} == kinds[1]
        ):
            kinds.pop()
        kind = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        return {"nullable": kind} if has_null else kind
    result = {name: value for name, value in schema.items() if name not in BESIDE}
    if isinstance(result.get("type"), list):
        (kind,) = set(result["type"]) - {"null"}
        return {"nullable": plain({**result, "type": kind}, definitions)}
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if "prefixItems" in result:
        (result["items"],) = {json.dumps(plain(one, definitions)): one for one in result.pop("prefixItems")}.values()
    if result.get("type") == "array" and result.get("minItems") != result.get("maxItems"):
        result.pop("minItems")  # a polygon's
    for name in ("items", "additionalProperties"):
        if name in result:
            result[name] = plain(result[name], definitions)
    if "properties" in result:
        result["properties"] = {name: plain(one, definitions) for name, one in result["properties"].items()}
        for name in result["properties"].keys() - set(result.get("required", ())):  # None where it is left out
            kind = result["properties"][name]
            result["properties"][name] = kind.get("nullable", kind) if isinstance(kind, dict) else kind
        result["required"] = sorted(result.get("required", ()))
    return result


def of_client() -> dict[str, Any]:
    """The schemas of the client's models."""
    kinds = [kind for kind in vars(models).values() if isinstance(kind, type) and issubclass(kind, BaseModel)]
    named = [(kind, "validation") for kind in kinds if kind.__module__ == models.__name__ and kind.__name__[0] != "_"]
    _, schema = models_json_schema(named)  # type: ignore[arg-type]  # the mode is a literal
    definitions: dict[str, Any] = schema["$defs"]
    return {name: plain(one, definitions) for name, one in definitions.items() if name not in ("Box", "Point")}


def test_the_types_are_those_of_the_document(document: Any) -> None:
    schemas = document["components"]["schemas"]
    for concern, zones in (("Wrinkles", "WrinkleZones"), ("Measurement", "ColourZones")):
        keys = schemas[concern]["properties"]["unseen"].pop("propertyNames")["enum"]
        assert keys == list(getattr(models, zones).model_fields)
    codes = schemas["ErrorDetail"]["properties"]["code"].pop("enum")
    assert sorted(codes) == sorted(BY_CODE)
    documented = {name: plain(schema, schemas) for name, schema in schemas.items()}
    client = of_client()
    assert client.keys() == documented.keys()
    for name, schema in client.items():
        assert schema == documented[name], name


def test_every_code_has_a_class_that_says_its_status(document: Any) -> None:
    statuses: dict[str, str] = {}
    for path in document["paths"].values():
        for status, response in next(iter(path.values()))["responses"].items():
            examples = response.get("content", {}).get("application/json", {}).get("examples", {})
            statuses |= dict.fromkeys(examples, status)
    undocumented = {"internal_error": "500", "not_found": "404", "method_not_allowed": "405"}
    assert {code: (kind.__doc__ or "")[:3] for code, kind in BY_CODE.items()} == statuses | undocumented
    for code, kind in BY_CODE.items():
        assert getattr(shine_client, kind.__name__) is kind, code
    assert BY_CODE["internal_error"] is InternalError


def test_every_option_of_the_document_is_an_argument(document: Any) -> None:
    for path in ("analyze", "quality", "analyze_batch", "overlay"):
        (content,) = document["paths"]["/" + path]["post"]["requestBody"]["content"].values()
        documented = set(content["schema"]["properties"]) - {"image", "images"}
        if path == "overlay":
            documented.remove("include")  # without effect on a picture
        for client in (ShineClient, AsyncShineClient):
            arguments = getattr(client, path).__annotations__.keys() - {"photo", "photos", "return"}
            assert arguments == documented | {"request_id", "deadline"}
    assert options("model", 0.5, ["outlines", "maps"], "boxes", True, 800) == {
        "require": "model",
        "min_confidence": "0.5",
        "include": "outlines,maps",
        "layers": "boxes",
        "legend": "true",
        "width": "800",
    }


def test_what_is_new_in_an_answer_is_no_error(document: Any) -> None:
    operation = document["paths"]["/analyze"]["post"]["responses"]["200"]
    values = operation["content"]["application/json"]["example"] | {"new": 1, "source": "other", "schema_version": 2}
    values["quality"] = {"score": None, "issues": ["newest"], "new": 2}
    analysis = Analysis.model_validate_json(json.dumps(values))
    assert (analysis.source, analysis.schema_version, analysis.quality.issues) == ("other", 2, ["newest"])


def run_python(*command: str, path: Path, cwd: Path) -> str:
    """Run Python with one folder on its path, of which the client comes; what it prints.

    Raises:
        AssertionError: it failed; with what it said.
    """
    environment = {**os.environ, "PYTHONPATH": str(path), "PIP_NO_INDEX": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the built package is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("package")
    sources, site = folder / "sources", folder / "site"
    shutil.copytree(SOURCES, sources)
    run_python("-m", "build", "--no-isolation", "--outdir", str(folder), str(sources), path=site, cwd=folder)
    (wheel,) = folder.glob("shine_client-*.whl")
    run_python("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel), path=site, cwd=folder)
    shutil.rmtree(sources)
    return site


def readme_prints_findings(server: Server, path: Path, folder: Path) -> None:
    """Run the README's two scripts with the client of a folder, and look at what they print."""
    (folder / "photos").mkdir()
    for name in ("face.jpg", "photos/face.jpg"):
        shutil.copy(PORTRAIT, folder / name)
    (folder / "photos" / "text.jpg").write_text("no photo")
    printed = []
    for script in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        assert len([line for line in script.splitlines() if line]) <= 10
        script = script.replace("http://localhost:5000", server.url)
        printed.append(run_python("-c", script, path=path, cwd=folder).splitlines())
    one, many = printed
    assert [line.split()[0] for line in one[:-1]] == list(models.Concerns.model_fields)
    assert one[-1].startswith("Not a medical diagnosis.")
    (refused,) = (line for line in many if line.startswith("image_format_unsupported: "))
    assert {*many} - {refused} <= {"clear", "mild", "moderate", "severe", "very_severe"}
    assert len(many) == 2


def test_the_scripts_of_the_readme_print_findings(server: Server, tmp_path: Path) -> None:
    readme_prints_findings(server, SOURCES, tmp_path)


def test_it_imports_nothing_of_the_service_and_no_pillow(tmp_path: Path) -> None:
    script = "import shine_client, sys; print([name for name in ('bentos', 'PIL', 'numpy') if name in sys.modules])"
    assert run_python("-c", script, path=SOURCES, cwd=tmp_path).strip() == "[]"


@pytest.mark.long
def test_the_built_package_works_alone(server: Server, site: Path, tmp_path: Path) -> None:
    readme_prints_findings(server, site, tmp_path)
    script = "import importlib.metadata as m; print(*m.files('shine-client'), sep='\\n')"
    listed = run_python("-c", script, path=site, cwd=tmp_path).split()
    kept = {line for line in listed if "__pycache__" not in line and "dist-info" not in line}
    assert kept == {f"shine_client/{path.name}" for path in (SOURCES / "shine_client").iterdir() if path.is_file()}
    assert "shine_client/py.typed" in kept
    (licence,) = (line for line in listed if line.endswith("/LICENSE"))
    assert (site / licence).read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.long
def test_mypy_knows_the_types_of_the_package(site: Path, tmp_path: Path) -> None:
    right = ["from shine_client import Analysis, ShineClient, ShineError", "shine = ShineClient('http://localhost')"]
    right += ["for item in shine.analyze_many(['a.jpg', b'b']):"]
    right += ["    count: int | None = 0 if isinstance(item, ShineError) else item.concerns.acne.count"]
    wrong = [*right, "shine.analyze(3.5)", "shine.analyze('a', require='all')"]
    (tmp_path / "right.py").write_text("\n".join(right))
    (tmp_path / "wrong.py").write_text("\n".join(wrong))
    assert "Success" in run_python("-m", "mypy", "--strict", "right.py", path=site, cwd=tmp_path)
    with pytest.raises(AssertionError, match="Found 2 errors"):
        run_python("-m", "mypy", "--strict", "wrong.py", path=site, cwd=tmp_path)
