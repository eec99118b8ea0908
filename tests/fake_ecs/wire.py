"""Answers on the wire: ECS's JSON, ELB's XML, and errors in the form of whichever service was asked."""

import json
import secrets
import socket
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from tests.fake_ecs.faults import Fault
from tests.fake_ecs.targets import Target

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
QUERY = {"elasticloadbalancing", "iam", "sts", "cloudformation", "autoscaling"}


def answered(start: StartResponse, status: int, kind: str, body: bytes, **headers: str) -> Iterable[bytes]:
    """A whole answer."""
    output = [("Content-Type", kind), ("Content-Length", str(len(body))), ("x-amzn-RequestId", secrets.token_hex(16))]
    start(f"{status} {'OK' if status < 400 else 'Refused'}", [*output, *headers.items()])
    return [body]


def as_json(start: StartResponse, status: int, content: Any) -> Iterable[bytes]:
    """ECS's; times are seconds."""
    body = json.dumps(content, default=_plain).encode()
    return answered(start, status, "application/x-amz-json-1.1", body)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(type(value))


def as_error(start: StartResponse, environ: Environ, service: str, fault: Fault) -> Iterable[bytes]:
    """An error as the asked service tells it."""
    code, message = fault.code, escape(fault.message)
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        body = b"\xa2" + b"".join(map(_cbor, ("__type", code, "message", fault.message)))
        return answered(start, fault.status, "application/cbor", body, **{"smithy-protocol": "rpc-v2-cbor"})
    if service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    elif service == "ec2":
        text = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
    elif service in QUERY:
        code = {"ThrottlingException": "Throttling", "AccessDeniedException": "AccessDenied"}.get(code, code)
        inner = f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>"
        text = f"<ErrorResponse><Error>{inner}</Error><RequestId>0</RequestId></ErrorResponse>"
    else:
        return as_json(start, fault.status, {"__type": code, "message": fault.message})
    return answered(start, fault.status, "text/xml", text.encode())


def _cbor(text: str) -> bytes:
    """A text string of less than 65536 bytes."""
    body = text.encode()
    return b"\x79" + len(body).to_bytes(2, "big") + body


def as_cut(environ: Environ) -> Iterable[bytes]:
    """No answer: the connection ends."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("cut off, as a test wants it")


def target_health(start: StartResponse, targets: list[Target], asked: list[str]) -> Iterable[bytes]:
    """DescribeTargetHealth; `asked` names addresses, or none for all."""
    members = []
    known = {target.address for target in targets}
    for target in targets:
        if not asked or target.address in asked:
            members.append(
                _member(target.address, target.port, target.zone, target.state, target.reason, target.description)
            )
    for address in asked:
        if address not in known:
            output = "Target is not registered to the target group"
            members.append(_member(address, 80, "all", "unused", "Target.NotRegistered", output))
    text = (
        '<DescribeTargetHealthResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/">'
        f"<DescribeTargetHealthResult><TargetHealthDescriptions>{''.join(members)}</TargetHealthDescriptions>"
        f"</DescribeTargetHealthResult><ResponseMetadata><RequestId>{secrets.token_hex(16)}</RequestId>"
        "</ResponseMetadata></DescribeTargetHealthResponse>"
    )
    return answered(start, 200, "text/xml", text.encode())


def _member(address: str, port: int, zone: str, state: str, reason: str | None, description: str | None) -> str:
    why = f"<Reason>{reason}</Reason>" if reason else ""
    why += f"<Description>{escape(description)}</Description>" if description else ""
    return (
        f"<member><HealthCheckPort>{port}</HealthCheckPort>"
        f"<Target><Id>{address}</Id><Port>{port}</Port><AvailabilityZone>{zone}</AvailabilityZone></Target>"
        f"<TargetHealth><State>{state}</State>{why}</TargetHealth></member>"
    )
