"""Does a task that is stopped have the time to answer what is in flight."""

from collections.abc import Iterator

from deploy.findings.catalog import Violation, check, fail, warn
from deploy.verify.context import CheckContext

DEFAULT_S, LEAST_S, MOST_S = 30, 2, 120  # Fargate's
IDLE_S = 60  # an Application Load Balancer's idle timeout, where nobody changed it


def stop_timeout(case: CheckContext) -> int:
    """Seconds from SIGTERM to SIGKILL."""
    value: int = case.container.get("stopTimeout", DEFAULT_S)
    return value


@check("STOP_TIMEOUT_RANGE", "stopTimeout is in Fargate's range", why="Fargate takes 2 to 120 seconds.")
def in_range(case: CheckContext) -> Iterator[Violation]:
    given = stop_timeout(case)
    if not LEAST_S <= given <= MOST_S:
        yield fail(
            f"stopTimeout is {given} s, and Fargate takes {LEAST_S} to {MOST_S}.",
            "Set stopTimeout to 60.",
            case.inside("stopTimeout", given),
        )


@check(
    "STOP_TIMEOUT",
    "stopTimeout is above the slowest request and the time that the image takes to end",
    why="At SIGTERM the image answers what is in flight and then ends. Killed before that, callers lose their answers "
    "in every deployment.",
)
def long_enough(case: CheckContext) -> Iterator[Violation]:
    given, seconds = stop_timeout(case), case.contract.seconds
    text = case.environment.get("SHINE_REQUEST_DEADLINE_MS", "")
    deadline = int(text) / 1000 if text.isascii() and text.isdecimal() and len(text) < 10 else seconds.slowest_request
    needed, where = max((seconds.stop, "seconds.stop"), (deadline, "seconds.slowest_request"))
    if LEAST_S <= given <= MOST_S and given <= needed:
        what = "the image takes up to" if where == "seconds.stop" else "a request may take"
        yield fail(
            f"stopTimeout is {given} s, and {what} {needed:g} s: answers would be cut off.",
            f"Set stopTimeout to {min(MOST_S, max(60, int(needed) + 5))}.",
            case.inside("stopTimeout", given),
            case.asked(where, needed),
        )


@check(
    "KEEP_ALIVE",
    "The image keeps idle connections longer than a load balancer does",
    why="A server that closes an idle connection first may do so just as the load balancer sends the next request over "
    "it, which the caller sees as 502.",
)
def keep_alive(case: CheckContext) -> Iterator[Violation]:
    kept = case.contract.seconds.keep_alive
    if kept <= IDLE_S:
        yield warn(
            f"The image keeps idle connections {kept:g} s, and a load balancer keeps them {IDLE_S} s by default.",
            "Lower the load balancer's idle timeout, or take an image that keeps them longer.",
            case.asked("seconds.keep_alive", kept),
        )
