"""The Python client against the real service: its methods, its types against the document, its package, its README."""

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_type

import httpx
import pytest
import shine_client
from PIL import Image
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
    kinds = [kind for kind in vars(models).values() if isinstance(kind, type) and issubclass(kind, models.BaseModel)]
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


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run a script with the built and installed package, away from its sources; what it prints."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(SOURCES, folder / "sources")
    environment = {**os.environ, "PYTHONPATH": str(folder / "site"), "PIP_NO_INDEX": "1"}

    def run(*command: str, cwd: Path = folder) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-m", "build", "--no-isolation", str(folder / "sources"), "--outdir", str(folder / "dist"))
    (wheel,) = (folder / "dist").glob("shine_client-*.whl")
    run("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder / "site"), str(wheel))
    shutil.rmtree(folder / "sources")
    return run


def test_the_script_of_the_readme_runs_with_the_package_alone(
    installed: Callable[..., str], server: Server, tmp_path: Path
) -> None:
    shutil.copy(PORTRAIT, tmp_path / "face.jpg")
    script = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    assert len(script.splitlines()) <= 12
    printed = installed("-c", script.replace("http://localhost:5000", server.url), cwd=tmp_path).splitlines()
    assert [line.split()[0] for line in printed[:-1]] == list(models.Concerns.model_fields)
    assert printed[-1].startswith("Not a medical diagnosis.")


def test_the_package_holds_its_types_texts_and_licence_and_nothing_else(installed: Callable[..., str]) -> None:
    listed = installed("-c", "import importlib.metadata as m; print(*m.files('shine-client'), sep='\\n')").split()
    kept = {line for line in listed if "__pycache__" not in line and "dist-info" not in line}
    named = {str(path.relative_to(SOURCES)) for path in (SOURCES / "shine_client").iterdir() if path.is_file()}
    assert kept == named
    assert "shine_client/py.typed" in kept
    assert any(line.endswith("LICENSE") for line in listed)
    assert (SOURCES / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    where = installed("-c", "import shine_client, sys; print(shine_client.__file__, 'bentos' in sys.modules)").split()
    assert "site/shine_client" in where[0]
    assert where[1] == "False"
    assert installed("-c", "import shine_client.client, sys; print('PIL' in sys.modules)").strip() == "False"


@pytest.mark.long
def test_mypy_knows_the_types_of_the_package(installed: Callable[..., str], tmp_path: Path) -> None:
    lines = ["from shine_client import Analysis, ShineClient, ShineError", "shine = ShineClient('http://localhost')"]
    lines += ["for item in shine.analyze_many(['a.jpg', b'b']):"]
    lines += ["    count: int | None = 0 if isinstance(item, ShineError) else item.concerns.acne.count"]
    (tmp_path / "right.py").write_text("\n".join(lines))
    (tmp_path / "wrong.py").write_text("\n".join([*lines, "shine.analyze(3.5)", "shine.analyze('a', require='all')"]))
    assert "Success" in installed("-m", "mypy", "--strict", "right.py", cwd=tmp_path)
    with pytest.raises(AssertionError, match="Found 2 errors"):
        installed("-m", "mypy", "--strict", "wrong.py", cwd=tmp_path)
