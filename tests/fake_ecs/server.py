"""One endpoint for all AWS services: the fake ECS answers for services, tasks and target health, moto for the rest."""

import io
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests.fake_ecs import model, wire
from tests.fake_ecs.account import Account
from tests.fake_ecs.ecs import Ecs
from tests.fake_ecs.errors import Refused
from tests.fake_ecs.faults import CREDENTIAL, Asked, Fault, Faults
from tests.fake_ecs.targets import Targets

ECS = "AmazonEC2ContainerServiceV20141113."


class Quiet(MotoRequestHandler):
    """A handler that writes no line for each request, and none for a connection that a test cuts."""

    def log_request(self, *_: Any) -> None:
        """Nothing."""

    def log(self, *_: Any) -> None:
        """Nothing."""

    def connection_dropped(self, *_: Any) -> None:
        """As intended."""


class Endpoint:
    """The WSGI application, and its server on loopback.

    Attributes:
        url: for AWS_ENDPOINT_URL.
        calls: how often each operation was asked for, by those whose header tells.
        before: by operation, what a test has happen right before its next call, once.
    """

    def __init__(self, account: Account, ecs: Ecs, targets: Targets, faults: Faults) -> None:
        self._account, self._ecs, self._targets, self._faults = account, ecs, targets, faults
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.calls: dict[str, int] = {}
        self.before: dict[str, Callable[[], object]] = {}
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def __call__(self, environ: wire.Environ, start: wire.StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        body = self._read(environ)
        result = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        key, service = result.groups() if result else ("", "s3" if "HTTP_X_AMZ_TARGET" not in environ else "")
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        operation = target.rpartition(".")[2]
        form = {}
        if service == "elasticloadbalancing":
            form = parse_qs(body.decode())
            operation = form.get("Action", [""])[0]
        if operation:
            self.calls[operation] = self.calls.get(operation, 0) + 1
        if act := self.before.pop(operation, None):
            act()
        fault = self._faults.strike(Asked(key, service, operation, environ["PATH_INFO"]))
        if fault is not None:
            return wire.as_cut(environ) if fault.cut else wire.as_error(start, environ, service, fault)
        if target.startswith(ECS) and operation in self._ecs.operations:
            return self._answer(start, operation, json.loads(body or b"{}"))
        if operation == "DescribeTargetHealth":
            targets = self._targets.of(form["TargetGroupArn"][0])
            asked = [values[0] for name, values in form.items() if name.endswith(".Id")]
            if targets or asked:  # moto says what is wrong with a group that is not there, and has none in one that is
                return wire.target_health(start, targets, asked)
        try:
            with self._account.lock:
                return list(self._moto(environ, start))
        except NotImplementedError as error:  # not 500, which clients ask for again and again
            return wire.as_error(start, environ, service, Fault("NotImplemented", str(error), 501))

    def _read(self, environ: wire.Environ) -> bytes:
        """The whole body, before any lock is taken."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if not length:
            return b""
        body: bytes = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        return body

    def _answer(self, start: wire.StartResponse, operation: str, asked: dict[str, Any]) -> Iterable[bytes]:
        try:
            answer = self._ecs.operations[operation](asked)
        except Refused as refused:
            return wire.as_json(start, 400, {"__type": refused.code, "message": str(refused)})
        if wrong := model.faults(operation, answer):
            output = f"the fake ECS's answer is not ECS's: {'; '.join(wrong[:3])}"
            return wire.as_json(start, 400, {"__type": "PlaneIsWrong", "message": output})
        return wire.as_json(start, 200, answer)
