"""Target groups with real targets: each is really probed, and told of as ELB tells."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.fake_ecs.account import Account
from tests.fake_ecs.clock import Clock, monotonic
from tests.fake_ecs.network import let_in
from tests.fake_ecs.probe import ask, matches

LEAST_INTERVAL_S = 0.2
LEAST_TIMEOUT_S = 2.0  # of a probe: the machine is small, and its processes are real
DRAINING = ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")


@dataclass
class Target:
    """One, as DescribeTargetHealth tells it.

    Attributes:
        group: ARN of its target group.
        address, port: where it listens.
        security_groups: that stand before it.
        up: whether it can be expected to answer already.
        in_flight: requests that it is answering.
    """

    group: str
    address: str
    port: int
    security_groups: list[str]
    up: Callable[[], bool]
    zone: str = "us-east-1a"
    state: str = "initial"
    reason: str | None = "Elb.RegistrationInProgress"
    description: str | None = "Target registration is in progress"
    in_flight: int = 0
    passed: int = 0
    failed: int = 0
    gone: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def become(self, state: str, reason: str | None = None, description: str | None = None) -> None:
        """Another state, unless it is on its way out."""
        with self.lock:
            if self.state != "draining":
                self.state, self.reason, self.description = state, reason, description


class Targets:
    """The targets of all target groups."""

    def __init__(self, account: Account, clock: Clock) -> None:
        self._account, self._clock, self._lock = account, clock, threading.Lock()
        self._known: dict[str, list[Target]] = {}
        self._turn = 0

    def register(
        self, group: str, address: str, port: int, security_groups: list[str], up: Callable[[], bool]
    ) -> Target:
        """A new target; it is probed from now on."""
        made = Target(group, address, port, security_groups, up)
        with self._lock:
            self._known.setdefault(group, []).append(made)
        threading.Thread(target=self._watch, args=(made,), daemon=True).start()
        return made

    def deregister(self, target: Target, wait: Callable[[float], Any]) -> None:
        """No new request from now on; returns once those in flight are answered, or the delay is over.

        In flight is measured in real time: a request takes as long as it takes.
        """
        target.become(*DRAINING)
        delay = float(self._attribute(target.group, "deregistration_delay.timeout_seconds", "300"))
        began = monotonic()
        while monotonic() < began + delay:
            if target.in_flight == 0 and monotonic() >= began + self._clock.short(delay):
                break
            wait(0.05)
        self.forget(target)

    def forget(self, target: Target) -> None:
        """At once."""
        target.gone.set()
        with self._lock:
            if target in self._known.get(target.group, []):
                self._known[target.group].remove(target)

    def of(self, group: str) -> list[Target]:
        """The targets of a target group."""
        with self._lock:
            return list(self._known.get(group, []))

    def choose(self, group: str) -> Target | None:
        """The next one for a request, in turn: a healthy one; where none is, any that is unhealthy, as ELB does."""
        with self._lock:
            known = self._known.get(group, [])
            fitting = [item for item in known if item.state == "healthy"]
            fitting = fitting or [item for item in known if item.state == "unhealthy"]
            if not fitting:
                return None
            self._turn += 1
            chosen = fitting[self._turn % len(fitting)]
            chosen.in_flight += 1
            return chosen

    def done(self, target: Target) -> None:
        """Its request is answered."""
        with self._lock:
            target.in_flight -= 1

    def reachable(self, target: Target) -> bool:
        """Whether security groups let the load balancer through to it."""
        return let_in(self._account, target.group, target.security_groups, target.port)

    def _attribute(self, group: str, key: str, default: str) -> str:
        result = self._account.ask("elbv2", "describe_target_group_attributes", TargetGroupArn=group)["Attributes"]
        return next((str(item["Value"]) for item in result if item["Key"] == key), default)

    def _settings(self, group: str) -> dict[str, Any]:
        result = self._account.ask("elbv2", "describe_target_groups", TargetGroupArns=[group])
        settings: dict[str, Any] = result["TargetGroups"][0]
        return settings

    def _watch(self, target: Target) -> None:
        while not target.gone.is_set():
            try:
                settings = self._settings(target.group)
                self.probe(target, settings)
            except ClientError:  # somebody took the target group away
                return
            target.gone.wait(self._clock.short(settings["HealthCheckIntervalSeconds"], LEAST_INTERVAL_S))

    def probe(self, target: Target, settings: dict[str, Any]) -> None:
        """One health check, and what follows from it."""
        if not settings["LoadBalancerArns"]:
            target.become("unused", "Target.NotInUse", "Target group is not configured to receive traffic")
            return
        port = settings["HealthCheckPort"]
        at = target.port if port == "traffic-port" else int(port)
        timeout = self._clock.short(settings["HealthCheckTimeoutSeconds"], LEAST_TIMEOUT_S)
        if let_in(self._account, target.group, target.security_groups, at):
            observed = ask(target.address, at, settings["HealthCheckPath"], timeout)
        else:
            target.gone.wait(self._clock.short(settings["HealthCheckTimeoutSeconds"]))
            observed = "timeout"
        matcher = settings["Matcher"]["HttpCode"]
        if isinstance(observed, int) and matches(matcher, observed):
            target.passed, target.failed = target.passed + 1, 0
            # A new target is taken after one check; one that was unhealthy has to show more.
            if target.state != "unhealthy" or target.passed >= settings["HealthyThresholdCount"]:
                target.become("healthy")
            return
        target.passed = 0
        if not target.up():
            target.become("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
            return
        target.failed += 1
        if target.failed >= settings["UnhealthyThresholdCount"]:
            target.become("unhealthy", *_why(observed))


def _why(seen: int | str) -> tuple[str, str]:
    if isinstance(seen, int):
        return "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{seen}]"
    if seen == "timeout":
        return "Target.Timeout", "Request timed out"
    return "Target.FailedHealthChecks", "Health checks failed"
