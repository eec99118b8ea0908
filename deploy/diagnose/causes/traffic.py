"""What the load balancer gets from tasks, and what alarms say of the traffic."""

import re

from bentos.skin.settings import HEALTH_PATH
from deploy.diagnose.causes.health import outside
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Quote, events, reasons, shown, verdicts
from deploy.diagnose.registry import SAID, SEEN, SYMPTOM, CauseMatch, cause, sign
from deploy.taskdef.health_command import request

CODES = re.compile(r"Health checks failed with these codes: \[(?P<codes>[\d,\s-]+)\]")
WANTS_KEY, REDIRECTS = {401, 403}, range(300, 400)
WRONG_TYPE = re.compile(r"target type instance|incompatible with the awsvpc network mode", re.IGNORECASE)
NO_BALANCER = re.compile(r"does not have an associated load balancer", re.IGNORECASE)
ALARMED = re.compile(
    r"deployment failed: alarm detected|alarm(?:s)? (?:was |were )?(?:detected|triggered)", re.IGNORECASE
)


def codes(seen: Evidence) -> list[tuple[Quote, int]]:
    """Status codes that health checks got."""
    found = []
    for quote in outside(seen):
        if (match := CODES.search(quote.text)) is not None:
            found += [(quote, int(one)) for one in re.findall(r"\d{3}", match["codes"])]
    return found


def path(seen: Evidence) -> str:
    """That the load balancer asks."""
    return shown(seen.target_group.path, 80) if seen.target_group and seen.target_group.path else "its path"


@cause(
    "HEALTH_PATH_MISSING",
    "The target group asks a path that the service has not",
    looks="Target.ResponseCodeMismatch, `Health checks failed with these codes: [404]`.",
    repair="Compare the target group's health check path with the one that the image answers (`docker run IMAGE "
    "contract`: health.path). Where they differ, correct the target group's (`aws elbv2 modify-target-group "
    "--health-check-path`; `trail infra apply` does). Where they are the same, roll out an image that answers it.",
    weight=SAID,
    deterministic=True,
)
def path_missing(seen: Evidence) -> CauseMatch | None:
    found = [quote for quote, code in codes(seen) if code == 404]
    if not found:
        return None
    return sign(f"The load balancer asks {path(seen)} and is answered 404.", found, repair=_path_repair(seen))


def _path_repair(seen: Evidence) -> str | None:
    """What is really wrong with a path that is answered 404; None where the target group was not seen."""
    group = seen.target_group
    if group is None or not group.path:
        return None
    passing = _passing_path(seen)
    right, which = passing or HEALTH_PATH, shown(seen.service.target_group if seen.service else "", 200)
    if group.path.partition("?")[0] != right:
        return (
            f"Set the target group's health check path to {shown(right, 80)} (`aws elbv2 modify-target-group "
            f"--target-group-arn {which} --health-check-path {shown(right, 80)}`); `trail infra apply` does where it "
            "made the target group."
        )
    ports = seen.definition.ports if seen.definition else ()
    port = group.health_port
    if port.isdecimal() and ports and int(port) not in ports:
        return (
            f"The path is right, and the port is not: the target group asks port {port}, the container maps "
            f"{', '.join(map(str, ports))}. Set its health check port to traffic-port (`aws elbv2 modify-target-group "
            f"--target-group-arn {which} --health-check-port traffic-port`)."
        )
    if passing:
        return (
            f"The path is right: the container's own health check passes on {path(seen)}. Something else answers the "
            "load balancer: compare the port of its targets with the port on which the container listens."
        )
    image = f" {shown(seen.definition.image, 200)}" if seen.definition and seen.definition.image else ""
    return (
        f"The path is set as it should be: the image{image} does not answer {path(seen)}. Roll out one that does; "
        f"`trail preflight --image IMAGE` runs it here and asks it."
    )


def _passing_path(seen: Evidence) -> str | None:
    """The path that the container's own health check asks, where it passes; None where that is not known."""
    definition = seen.definition
    if definition is None or definition.check is None or not any(one.health == "HEALTHY" for one in seen.running):
        return None
    address = request(" ".join(definition.check.command[1:]), definition.settings.get("PORT", ""))
    return address.path.partition("?")[0] if address else None


@cause(
    "HEALTH_STATUS",
    "The health check is answered with another status",
    looks="Target.ResponseCodeMismatch with 401, 403, 3xx or 5xx.",
    repair="Let it ask /health, which needs no key and no redirect, and expect 200. 5xx: read the log at that time.",
    weight=SAID - 0.02,
)
def status(seen: Evidence) -> CauseMatch | None:
    found = [(quote, code) for quote, code in codes(seen) if code != 404]
    if not found:
        return None
    code = found[0][1]
    why = "it wants a key there" if code in WANTS_KEY else "it redirects" if code in REDIRECTS else "the service fails"
    sentence = f"The load balancer asks {path(seen)} and is answered {code}: {why}."
    sure = code in WANTS_KEY or code in REDIRECTS
    return sign(sentence, [quote for quote, _ in found], deterministic=sure)


@cause(
    "TARGET_TYPE",
    "The target group is of type instance",
    looks="`The provided target group … has target type instance, which is incompatible with the awsvpc network mode`.",
    repair="Create a target group of type ip: the type of one that is there cannot be changed. `trail infra apply` "
    "does.",
    weight=SAID,
    deterministic=True,
)
def target_type(seen: Evidence) -> CauseMatch | None:
    said = [one for one in [*events(seen), *reasons(seen.failed)] if WRONG_TYPE.search(one.text)]
    group = seen.target_group
    wrong = group is not None and group.type in ("instance", "lambda", "alb")
    if not said and not wrong:
        return None
    kind = group.type if group is not None and wrong else "instance"
    fact = [Quote("target group", f"TargetType is {kind}")] if wrong else []
    return sign(f"Tasks in awsvpc mode are targets by address; the target group is of type {kind}.", [*said, *fact])


@cause(
    "TARGET_GROUP_MISSING",
    "The target group is not there, or nothing leads to it",
    looks="TargetGroupNotFound; `The target group … does not have an associated load balancer`; targets `unused`.",
    repair="Let a listener of the load balancer forward to the target group, in the zones of the tasks' subnets; "
    "`trail preflight` says which is missing.",
    weight=SAID,
    deterministic=True,
)
def target_group(seen: Evidence) -> CauseMatch | None:
    said = [one for one in events(seen) if NO_BALANCER.search(one.text)]
    unused = [one for one in verdicts(seen) if one.text.startswith("unused")]
    if seen.target_group_status and seen.service is not None and seen.service.target_group:
        said.append(Quote("load balancer", f"there is no target group {seen.service.target_group}"))
    if not said and not unused:
        return None
    what = (
        "does not exist, or has no load balancer" if said else "gets no traffic, since no listener or zone leads to it"
    )
    return sign(f"The target group that the service is wired to {what}.", [*said, *unused])


@cause(
    "DEPLOYMENT_ALARM",
    "An alarm stopped the deployment",
    looks="`deployment failed: alarm detected`; the service deployment names the alarm.",
    repair="Look at what the alarm measures, at that time (deploy/watch/RUNBOOK.md); the new version is the first "
    "suspect.",
    weight=SEEN - 0.1,
    aside=True,
)
def deployment_alarm(seen: Evidence) -> CauseMatch | None:
    subject = seen.subject
    said = [one for one in events(seen) if ALARMED.search(one.text) and _about(seen, one.text)]
    if subject is not None and ALARMED.search(subject.reason):
        said.insert(0, Quote(f"deployment {subject.id}", subject.reason))
    newest = next(iter(seen.service_deployments), None)
    names = newest.alarms if newest is not None else ()
    if newest is not None and (names or ALARMED.search(newest.reason)):
        said.append(
            Quote("service deployment", newest.reason or f"alarms triggered: {', '.join(names)}", newest.created)
        )
    if not said:
        return None
    names = names or tuple(one.name for one in seen.alarms if one.state == "ALARM")
    which = f"{', '.join(shown(one, 80) for one in names[:4])} was" if names else "An alarm was"
    return sign(f"{which} in ALARM, so ECS stopped the deployment.", [*said, *firing(seen)])


@cause(
    "ALARM_FIRING",
    "An alarm is firing",
    looks="One of the plan's alarms is in state ALARM.",
    repair="deploy/watch/RUNBOOK.md says what each alarm means and what to do.",
    weight=SYMPTOM - 0.1,
    aside=True,
)
def alarm(seen: Evidence) -> CauseMatch | None:
    quotes = firing(seen)
    if not quotes:
        return None
    names = ", ".join(shown(one.name, 80) for one in seen.alarms if one.state == "ALARM")
    return sign(f"In ALARM: {names}.", quotes)


def firing(seen: Evidence) -> list[Quote]:
    """The plan's alarms that are in ALARM."""
    return [
        Quote(f"alarm {one.name}", one.reason or one.state, one.updated) for one in seen.alarms if one.state == "ALARM"
    ]


def _about(seen: Evidence, text: str) -> bool:
    """Whether an event is about the deployment that is looked at, where it names one."""
    return not seen.deployment or "(deployment" not in text or seen.deployment in text
