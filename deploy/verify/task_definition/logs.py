"""Where the containers log to: the driver, its options, the log router, and who makes the log group."""

from collections.abc import Iterator

from deploy.taskdef.model import candidates
from deploy.text import shown, words
from deploy.verify.context import CheckContext, Container
from deploy.verify.registry import Violation, check, each_container, fail, warn

ON_FARGATE = ("awslogs", "splunk", "awsfirelens")
# Options without which a driver does not start a container: everywhere, and on Fargate.
NEEDED = {"awslogs": ("awslogs-group",), "splunk": ("splunk-token", "splunk-url")}
NEEDED_ON_FARGATE = {**NEEDED, "awslogs": ("awslogs-group", "awslogs-region", "awslogs-stream-prefix")}
FIRELENS = "awsfirelens"


def driver_of(container: Container) -> str | None:
    """The log driver of a container; None where it states none."""
    driver: str | None = container.part.get("logConfiguration", {}).get("logDriver")
    return driver


def absent_options(context: CheckContext, container: Container) -> list[str]:
    """Options that the container's log driver needs and does not have."""
    configuration = container.part.get("logConfiguration", {})
    options = configuration.get("options", {})
    given = {name for name, value in options.items() if str(value).strip()}
    given |= {option.get("name") for option in configuration.get("secretOptions", [])}
    needed = NEEDED_ON_FARGATE if context.fargate else NEEDED
    return [name for name in needed.get(configuration.get("logDriver"), ()) if name not in given]


def lets_driver_name_group(context: CheckContext, container: Container) -> bool:
    """Whether the only option that awslogs lacks is its group; an empty one is a mistake."""
    options = container.part.get("logConfiguration", {}).get("options", {})
    return absent_options(context, container) == ["awslogs-group"] and "awslogs-group" not in options


@check("LOGS")
def logs(context: CheckContext) -> Iterator[Violation]:
    yield from _drivers(context)
    lost = [item for item in context.each if _must_log(context, item) and item.part.get("logConfiguration") is None]
    if lost and context.fargate:
        who = "The container has" if lost[0].alone else f"Container {words(item.name for item in lost)}: there is"
        yield warn(
            f"{who} no logConfiguration, so its log is lost.",
            f'Add logConfiguration with logDriver "awslogs"{"; `trail render` prints one" if context.ours else ""}.',
            *(item.place("logConfiguration", None) for item in lost[:3]),
        )


def _must_log(context: CheckContext, container: Container) -> bool:
    """Whether a container's log is missed: of Shine's, the serving one; of others, the essential ones but sidecars."""
    if context.ours:
        return context.is_own(container)
    serves = any(candidate is container.part for candidate in candidates(context.task))
    return serves and container.part.get("essential", True) is not False


@each_container
def _drivers(context: CheckContext, container: Container) -> Iterator[Violation]:
    driver, absent = driver_of(container), absent_options(context, container)
    if driver is not None and context.fargate and driver not in ON_FARGATE:
        yield fail(
            container.says(f"logConfiguration.logDriver is {shown(driver)}; Fargate supports {', '.join(ON_FARGATE)}."),
            'Set logDriver to "awslogs".',
            container.place("logConfiguration.logDriver", driver),
        )
    elif absent and not lets_driver_name_group(context, container):
        yield fail(
            container.says(
                f"logConfiguration lacks {', '.join(absent)}, which {driver} needs"
                f"{' on Fargate' if context.fargate and driver == 'awslogs' else ''}."
            ),
            f"Add {', '.join(absent)} to its options{' or secretOptions' if driver == 'splunk' else ''}.",
            container.place(
                "logConfiguration.options", sorted(container.part.get("logConfiguration").get("options", {}))
            ),
        )


@check("LOG_GROUP_CREATE")
@each_container
def creates_group(context: CheckContext, container: Container) -> Iterator[Violation]:
    options = container.part.get("logConfiguration", {}).get("options", {})
    create = str(options.get("awslogs-create-group", "")).strip().lower()
    nameless = lets_driver_name_group(context, container)
    if driver_of(container) == "awslogs" and (create == "true" or nameless):
        what = "names no awslogs-group" if nameless else "has awslogs-create-group"
        role = "the execution role" if context.fargate else "the role of the instance"
        yield warn(
            container.says(
                f"logConfiguration {what}, so {role} needs logs:CreateLogGroup, which AmazonECSTaskExecutionRolePolicy "
                "does not allow; without it the task does not start."
            ),
            "Create the log group beforehand, with a retention, and name it in awslogs-group.",
            container.place("logConfiguration.options", sorted(options)),
        )


@check("FIRELENS")
def firelens(context: CheckContext) -> Iterator[Violation]:
    routers = [item for item in context.each if item.part.get("firelensConfiguration") is not None]
    senders = [item for item in context.each if driver_of(item) == FIRELENS]
    if senders and not routers:
        yield fail(
            f"Container {words(sender.name for sender in senders)} logs to {FIRELENS}, but no container of the task "
            "has a firelensConfiguration: ECS refuses it.",
            "Add a log router, such as aws-for-fluent-bit with a firelensConfiguration, or log to awslogs.",
            senders[0].place("logConfiguration.logDriver", FIRELENS),
        )
    if len(routers) > 1:
        yield fail(
            f"Containers {words(item.name for item in routers)} are log routers; a task has one firelensConfiguration.",
            "Keep one of them.",
            *(item.place("firelensConfiguration", "an object") for item in routers[:2]),
        )
    if routers and not senders:
        yield warn(
            f"Container {shown(routers[0].name)} is a log router, but no container logs to {FIRELENS}.",
            f"Set logDriver to {FIRELENS} where it should route the log, or remove the router.",
            routers[0].place("firelensConfiguration", "an object"),
        )
    for router in routers:
        yield from _router(context, router)


def _router(context: CheckContext, router: Container) -> Iterator[Violation]:
    if driver_of(router) == FIRELENS:
        yield fail(
            f"Container {shown(router.name)} is the log router and logs to {FIRELENS}, which is itself.",
            'Set its logDriver to "awslogs".',
            router.place("logConfiguration.logDriver", FIRELENS),
        )
    options = router.part.get("firelensConfiguration", {}).get("options", {})
    kind, value = options.get("config-file-type"), options.get("config-file-value")
    if kind == "s3" and context.fargate:
        yield fail(
            f"Container {shown(router.name)} takes its configuration from S3 (config-file-type s3); Fargate supports "
            "file only.",
            "Put the file into the router's image and set config-file-type to file; or use an image with an init "
            "process that fetches it, such as aws-for-fluent-bit:init-latest.",
            router.place("firelensConfiguration.options.config-file-type", kind),
        )
    elif kind not in (None, "s3", "file") or (kind is None) != (value is None):
        yield fail(
            f"Container {shown(router.name)} has config-file-type {shown(kind)} with config-file-value "
            f"{shown(value)}; ECS takes file or s3, with a path or an ARN.",
            "Set both options, or none.",
            router.place("firelensConfiguration.options.config-file-type", kind),
        )
