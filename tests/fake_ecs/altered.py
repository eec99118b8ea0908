"""The service itself, with one thing wrong: `bentoml serve tests.fake_ecs.altered:Gateway`.

PLANE_BEHAVIOUR says what:

golden      finds more acne than there is
degraded    every analysis says that the model did not answer, and so does /ml/status
500         every photo is answered with 500
oom         the whole container is killed by the first photo
"""

import importlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import psutil

Gateway = importlib.import_module("service").Gateway
BEHAVIOUR = os.environ.get("PLANE_BEHAVIOUR", "")
PHOTOS = {"/analyze", "/analyze_base64", "/analyze_batch", "/overlay"}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Altered:
    """Outermost middleware of the gateway."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        photo = scope["type"] == "http" and scope["path"] in PHOTOS and scope["method"] == "POST"
        if photo and BEHAVIOUR == "oom":
            end_container()
        if photo and BEHAVIOUR == "500":
            while (await receive()).get("more_body"):
                pass
            await answer(send, 500, {"error": {"code": "internal", "message": "It broke.", "hint": "None."}}, [])
            return
        if scope["type"] == "http" and (photo or scope["path"] == "/ml/status") and BEHAVIOUR in ("golden", "degraded"):
            await self.app(scope, receive, Rewritten(send))
            return
        await self.app(scope, receive, send)


def end_container() -> None:
    """SIGKILL to its first process (the outermost one with this behaviour in its environment), and to all others."""
    result = psutil.Process()
    while (parent := result.parent()) is not None and "PLANE_BEHAVIOUR" in parent.environ():
        result = parent
    for value in [result, *result.children(recursive=True)]:
        if value.pid != os.getpid():
            value.kill()
    os.kill(os.getpid(), signal.SIGKILL)


class Rewritten:
    """Buffers a response and changes it."""

    def __init__(self, send: Send) -> None:
        self.send, self.body = send, b""
        self.start: Message = {}

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        self.body += message.get("body", b"")
        if message.get("more_body"):
            return
        headers = [(name, value) for name, value in self.start["headers"] if name.lower() != b"content-length"]
        try:
            content = json.loads(self.body)
        except ValueError:  # a picture
            content = None
        if not isinstance(content, dict) or self.start["status"] != 200:
            await answer(self.send, self.start["status"], self.body, headers)
            return
        if BEHAVIOUR == "golden":
            content = exaggerated(content)
        else:
            content = degraded(content)
            if "x-analysis-source" in {name.decode().lower() for name, _ in headers}:
                output = {b"x-analysis-source": b"heuristic", b"x-degraded": b"true"}
                headers = [(name, output.get(name.lower(), value)) for name, value in headers]
        await answer(self.send, 200, content, headers)


def exaggerated(content: dict[str, Any]) -> dict[str, Any]:
    """Change an analysis: the worst acne."""
    if "concerns" in content:
        content["concerns"]["acne"] |= {"score": 100, "severity": "very_severe", "count": 99}
    return content


def degraded(content: dict[str, Any]) -> dict[str, Any]:
    """Change an analysis or the model's status: the model timed out."""
    if "concerns" in content:
        content |= {"source": "heuristic", "degraded": True, "reason": "model_timeout", "model": None}
        for name in ("acne", "wrinkles"):
            content["concerns"][name]["source"] = "heuristic"
    elif "state" in content:
        content |= {"state": "degraded"}
    return content


async def answer(send: Send, status: int, content: Any, headers: list[tuple[bytes, bytes]]) -> None:
    """A whole one."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    if not any(name.lower() == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


Gateway.middlewares.insert(0, (Altered, {}))  # outermost, or headers would still tell the truth
