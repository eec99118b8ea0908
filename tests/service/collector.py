"""A collector of OpenTelemetry spans on loopback: keeps what it receives over OTLP/HTTP, unparsed."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Collector:
    """Keeps the bodies of `POST /v1/traces`, and the headers of the last; anything else is answered 404."""

    def __init__(self) -> None:
        bodies: list[bytes] = []
        headers: dict[str, str] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                known = self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
                if known:
                    bodies.append(body)
                    headers.update(self.headers)
                self.send_response(200 if known else 404)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests read their own output."""

        self.bodies, self.headers = bodies, headers
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def services_in(self, trace_id: str) -> set[str]:
        """Which of the three services have sent a span of a trace; ids lie in the protobuf as bytes, names as text."""
        of_trace = [body for body in self.bodies if bytes.fromhex(trace_id) in body]
        names = ("Gateway", "SkinModel", "HeuristicFallback")
        return {name for name in names if any(name.encode() in body for body in of_trace)}

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
