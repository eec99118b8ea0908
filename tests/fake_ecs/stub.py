"""Small stand-ins for broken images: `python stub.py BEHAVIOUR ADDRESS PORT`.

Of the standard library alone, so that they start at once.

good              /health 200; POST answers after the seconds that it is asked for in x-seconds, with its address
path              404 on /health, everything else good
port NUMBER       good, but on another port
flapping SECONDS  good, and then 500 on /health, in turn
oom               dies of SIGKILL at the first POST
stubborn          good, and lives on after SIGTERM
exits             ends at once with a trace, as where a dependency is missing
slow SECONDS      waits, and then is the service itself
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

STARTED = time.monotonic()


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    behaviour = "good"
    argument = 0.0

    def do_GET(self) -> None:
        health = self.path == "/health"
        if health and self.behaviour == "path":
            self.answer(404)
        elif health and self.behaviour == "flapping" and int((time.monotonic() - STARTED) / self.argument) % 2:
            self.answer(500)
        else:
            self.answer(200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.behaviour == "oom":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(self.headers.get("x-seconds", 0)))
        self.answer(200)

    def answer(self, status: int) -> None:
        host = self.connection.getsockname()[0]
        output = {name: self.headers.get(name) for name in ("x-forwarded-proto", "x-forwarded-for")}
        body = json.dumps({"address": host, "environment": dict(os.environ), "headers": output}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        print(json.dumps({"level": "info", "message": format % arguments}), flush=True)


def main(behaviour: str, address: str, port: int) -> None:
    kind, _, argument = behaviour.partition(" ")
    if kind == "exits":
        print("Traceback (most recent call last):\n  ...", file=sys.stderr)
        raise SystemExit("ModuleNotFoundError: No module named 'onnxruntime'")
    if kind == "slow":
        time.sleep(float(argument))
        bentoml = str(Path(sys.executable).parent / "bentoml")
        os.execv(bentoml, [bentoml, "serve", "service:Gateway", "--host", address, "--port", str(port)])  # noqa: S606
    Handler.behaviour = kind
    if kind == "flapping":
        Handler.argument = float(argument)
    server = ThreadingHTTPServer((address, int(argument) if kind == "port" else port), Handler)
    server.daemon_threads = True
    signal.signal(
        signal.SIGTERM,
        signal.SIG_IGN if kind == "stubborn" else lambda *_: threading.Thread(target=server.shutdown).start(),
    )
    print(json.dumps({"level": "info", "message": f"listening on {server.server_address[1]}"}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
