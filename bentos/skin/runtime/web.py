"""The web page, its files, and the files that other apps load from here: the component, the client, the texts."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bentos.skin.settings import PAGE_PATH

BENTOS = Path(__file__).resolve().parents[2]
WEB = BENTOS / "skin" / "web"
CLIENT = BENTOS / "client"
PAGE, COMPONENT, TEXTS = "index.html", "shine-analysis.js", "texts.json"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
SHARED = (COMPONENT, "shine-client.js", TEXTS, "portrait.jpg")  # what apps of other origins load
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REVALIDATE = {"cache-control": "no-cache"}  # kept, but asked for each time: a new release is seen at once
PAGE_HEADERS = {**REVALIDATE, "content-security-policy": POLICY, "permissions-policy": "camera=(self)"}
SHARED_HEADERS = {**REVALIDATE, "access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}
# An import of a file beside it, alone on its line: what it imports, and the file's name.
IMPORT = re.compile(r"^import (?P<what>.+) from \"\./(?P<name>[\w.-]+)\"(?: with \{.*\})?;\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file as it is served.

    Attributes:
        body: its bytes.
        headers: of its response.
    """

    body: bytes
    headers: dict[str, str]


def web_routes() -> list[Route]:
    """Routes of the page and its files; they are read here, once.

    Raises:
        OSError: a file of the package is missing.
    """
    files = web_files()

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if not name:
            return RedirectResponse(f"..{PAGE_PATH}")
        if name not in files or name == PAGE:
            raise HTTPException(404)
        return respond(files[name], request)

    return [Route(PAGE_PATH, _page(files[PAGE])), Route(f"{PAGE_PATH}/{{name:path}}", file)]


def _page(page: WebFile) -> Callable[[Request], Awaitable[Response]]:
    async def show(request: Request) -> Response:
        return respond(page, request)

    return show


def respond(file: WebFile, request: Request) -> Response:
    """The file, or 304 where the client has it already."""
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if known & {file.headers["etag"], "*"}:
        return Response(status_code=304, headers={**file.headers})
    return Response(file.body, headers={**file.headers})


def web_files() -> dict[str, WebFile]:
    """Files by the name by which they are asked for; the component's modules are in one of them."""
    component, modules = assemble(COMPONENT)
    bodies = {path.name: path.read_bytes() for path in WEB.iterdir() if path.name not in modules}
    bodies |= {name: source(name).read_bytes() for name in SHARED}
    bodies[COMPONENT] = component.encode()
    return {name: _file(name, body) for name, body in bodies.items()}


def _file(name: str, body: bytes) -> WebFile:
    headers = PAGE_HEADERS if name == PAGE else SHARED_HEADERS if name in SHARED else REVALIDATE
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return WebFile(body, {**headers, "content-type": MEDIA_TYPES[Path(name).suffix], "etag": etag})


def source(name: str) -> Path:
    """Where a file lies: the page's and the component's beside each other, the client's in its own package."""
    return {TEXTS: CLIENT / "shine_client" / TEXTS, "shine-client.js": CLIENT / "shine-client.js"}.get(name, WEB / name)


def assemble(name: str) -> tuple[str, set[str]]:
    """A module and all that it imports as one module: each once, before what imports it; texts become a constant.

    Args:
        name: of the module, in the folder of the page.

    Returns:
        The text, and the names of the files that are in it.
    """
    parts: dict[str, str] = {}

    def add(name: str, what: str) -> None:
        if name in parts:
            return
        text = source(name).read_text()
        if name == TEXTS:
            parts[name] = f"export const {what} = {text.strip()};\n"
            return
        for match in IMPORT.finditer(text):
            add(match["name"], match["what"])
        parts[name] = IMPORT.sub("", text)

    add(name, "")
    return "\n".join(parts.values()), {*parts}
