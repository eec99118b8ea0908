"""Can the containers start in the order that dependsOn states, and restart as restartPolicy states."""

from collections.abc import Iterator

from deploy.taskdef.schema import Part
from deploy.text import printable, shown, words
from deploy.verify.context import CheckContext, Container
from deploy.verify.registry import Violation, check, each_container, fail

ENDED = ("COMPLETE", "SUCCESS")  # conditions that wait for the end of a container
RESTART_S = (60, 1800)  # ECS's range of restartAttemptPeriod
MOST_EXIT_CODES = 50  # of ignoredExitCodes


@check("DEPENDS_ON")
def depends(context: CheckContext) -> Iterator[Violation]:
    others = {str(part.get("name", "")): part for part in context.containers}
    for container in context.each:
        for number, dependency in enumerate(container.part.get("dependsOn", [])):
            name, condition = dependency.get("containerName"), dependency.get("condition")
            path = f"dependsOn[{number}]"
            if name not in others or name == container.name:
                yield fail(
                    f"Container {shown(container.name)} depends on {shown(name)}; the containers are {words(others)}.",
                    "Name another container of the task, or remove dependsOn.",
                    container.place(f"{path}.containerName", name),
                    context.in_task("containerDefinitions", [printable(other) for other in others]),
                )
            elif condition == "HEALTHY" and others[name].get("healthCheck") is None:
                yield fail(
                    f"Container {shown(container.name)} waits until {shown(name)} is healthy, but {shown(name)} has no "
                    "healthCheck: ECS refuses it.",
                    f"Give {shown(name)} a healthCheck, or wait for START.",
                    container.place(f"{path}.condition", condition),
                )
            elif condition in ENDED and others[name].get("essential", True):
                yield fail(
                    f"Container {shown(container.name)} waits until {shown(name)} ends ({condition}), but "
                    f"{shown(name)} is essential: when it ends, the whole task stops.",
                    f"Set essential to false for {shown(name)}, or wait for START.",
                    container.place(f"{path}.condition", condition),
                )
    if circle := _circle({name: _waits_for(part) for name, part in others.items()}):
        yield fail(
            f"Containers wait for each other in a circle: {' → '.join(map(shown, circle))}; none of them can start.",
            "Remove one dependsOn of the circle.",
            context.in_task("containerDefinitions[].dependsOn", circle),
        )


def _waits_for(part: Part) -> list[str]:
    return [str(dependency.get("containerName")) for dependency in part.get("dependsOn", [])]


def _circle(graph: dict[str, list[str]]) -> list[str]:
    """A circle of two names or more, the first one at both ends; empty where there is none."""
    left = {name: {other for other in others if other in graph and other != name} for name, others in graph.items()}
    while free := [name for name, others in left.items() if not others & set(left)]:
        for name in free:
            del left[name]
    way: list[str] = []
    name = next(iter(left), "")
    while name and name not in way:
        way.append(name)
        name = next(other for other in graph[name] if other in left and other != name)
    return [*way[way.index(name) :], name] if name else []


@check("RESTART_POLICY")
@each_container
def restart(_context: CheckContext, container: Container) -> Iterator[Violation]:
    policy = container.part.get("restartPolicy", {})
    least, most = RESTART_S
    period, codes = policy.get("restartAttemptPeriod"), policy.get("ignoredExitCodes", [])
    if period is not None and not least <= period <= most:
        yield fail(
            container.says(f"restartPolicy.restartAttemptPeriod is {period} s; ECS accepts {least} to {most}."),
            f"Set it to {min(max(period, least), most)}, or remove it: the default is 300.",
            container.place("restartPolicy.restartAttemptPeriod", period),
        )
    if len(codes) > MOST_EXIT_CODES:
        yield fail(
            container.says(f"restartPolicy ignores {len(codes)} exit codes; ECS accepts {MOST_EXIT_CODES} at most."),
            "Keep the codes with which the container ends.",
            container.place("restartPolicy.ignoredExitCodes", len(codes)),
        )
