"""Injects faults of AWS: throttling, expired credentials, a bucket that cannot be reached."""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock

from tests.fake_ecs.clock import monotonic

WHO, ACTION = "arn:aws:sts::123456789012:assumed-role/deployer/ci", "ACTION"
OPERATOR, TASK = "operator", "task"  # access keys: the rollout's, and the tasks' own
CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/aws4_request")


@dataclass(frozen=True)
class Asked:
    """A request: the caller, the service's signing name, the operation if a header names it, the path."""

    key: str
    service: str
    operation: str
    path: str


@dataclass(frozen=True)
class Fault:
    """The response of a fault: code and message, or a closed connection if `cut` is set."""

    code: str = ""
    message: str = ""
    status: int = 400
    cut: bool = False


@dataclass(frozen=True)
class _Rule:
    fault: Fault
    share: float
    until: float
    services: frozenset[str]
    operations: frozenset[str]
    bucket: str | None
    key: str | None


THROTTLED = {"s3": ("SlowDown", "Please reduce your request rate."), "ec2": ("RequestLimitExceeded", "Request limit")}
EXPIRED = {
    "ec2": ("RequestExpired", "Request has expired."),
    "s3": ("ExpiredToken", "The provided token has expired."),
    "sts": ("ExpiredToken", "The security token included in the request is expired"),
    "iam": ("ExpiredToken", "The security token included in the request is expired"),
    "elasticloadbalancing": ("ExpiredToken", "The security token included in the request is expired"),
}


class Faults:
    """The active faults; requests of tasks never fail unless a fault names them."""

    def __init__(self) -> None:
        self._rules: dict[str, _Rule] = {}
        self._lock, self._chance = Lock(), random.Random(7)
        self.struck = 0

    def throttle(
        self, share: float, seconds: float, services: Iterable[str] = (), operations: Iterable[str] = ()
    ) -> None:
        """A share of calls (0 to 1) is answered with ThrottlingException, for so many real seconds."""
        self._set("throttle", Fault("ThrottlingException", "Rate exceeded"), share, seconds, services, operations)

    def expire_credentials(self) -> None:
        """Each call of the operator is answered with ExpiredTokenException from now on."""
        output = "The security token included in the request is expired"
        self._set("expire", Fault("ExpiredTokenException", output), 1.0, float("inf"))

    def deny(self, *operations: str, resource: str = "*") -> None:
        """These operations are answered with AccessDeniedException; AWS names who, the action, and the resource."""
        output = (
            f"User: {WHO} is not authorized to perform: {ACTION} on resource: {resource} because no identity-based "
        )
        output += f"policy allows the {ACTION} action"
        self._set("deny", Fault("AccessDeniedException", output, 400), 1.0, float("inf"), (), operations)

    def break_down(self, *operations: str) -> None:
        """These ECS operations are answered with ServerException, status 500."""
        fault = Fault("ServerException", "Service Unavailable. Please try again later.", 500)
        self._set("break", fault, 1.0, float("inf"), ("ecs",), operations)

    def not_implemented(self, *operations: str) -> None:
        """These ECS operations are unknown, as to an emulator of less scope."""
        output = "The action is not implemented"
        self._set("missing", Fault("UnknownOperationException", output, 400), 1.0, float("inf"), ("ecs",), operations)

    def cut_off(self, bucket: str, for_key: str | None = OPERATOR) -> None:
        """Close the connection of each request for a bucket."""
        self._set("cut", Fault(cut=True), 1.0, float("inf"), ("s3",), bucket=bucket, key=for_key)

    def cut_off_all(self, for_key: str | None = OPERATOR) -> None:
        """Close the connection of each request: the network is down."""
        self._set("network", Fault(cut=True), 1.0, float("inf"), key=for_key)

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._rules.clear()

    def strike(self, asked: Asked) -> Fault | None:
        """The fault of a request, if it has one."""
        with self._lock:
            for rule in self._rules.values():
                if self._fits(rule, asked) and self._chance.random() < rule.share:
                    self.struck += 1
                    return _by_service(rule.fault, asked)
        return None

    def _fits(self, rule: _Rule, asked: Asked) -> bool:
        return (
            monotonic() < rule.until
            and (rule.key is None or rule.key == asked.key or (rule.key == OPERATOR and asked.key != TASK))
            and (not rule.services or asked.service in rule.services)
            and (not rule.operations or asked.operation in rule.operations)
            and (rule.bucket is None or asked.path.split("/")[1:2] == [rule.bucket])
        )

    def _set(
        self,
        name: str,
        fault: Fault,
        share: float,
        seconds: float,
        services: Iterable[str] = (),
        operations: Iterable[str] = (),
        bucket: str | None = None,
        key: str | None = OPERATOR,
    ) -> None:
        rule = _Rule(fault, share, monotonic() + seconds, frozenset(services), frozenset(operations), bucket, key)
        with self._lock:
            self._rules[name] = rule


def _by_service(fault: Fault, asked: Asked) -> Fault:
    """The error of a service: codes differ between services, and a refusal names the action."""
    names = {"ThrottlingException": THROTTLED, "ExpiredTokenException": EXPIRED}.get(fault.code, {})
    if asked.service not in names:
        return replace(fault, message=fault.message.replace(ACTION, f"{asked.service}:{asked.operation}"))
    code, message = names[asked.service]
    return Fault(code, message, 503 if code in ("SlowDown", "RequestLimitExceeded") else fault.status)
