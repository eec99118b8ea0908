"""The container was killed, nearly always for its memory."""

import re

from deploy.aws.task import OUT_OF_MEMORY, Task
from deploy.diagnose.causes.start import KILLED, ended
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Match, Quote, lines, reasons, short
from deploy.diagnose.registry import LIKELY, SAID, SYMPTOM, CauseMatch, by_words, cause, sign

TOO_LITTLE = re.compile(r"^shine: the memory limit is (?P<limit>\d+) MiB; this image needs (?P<least>\d+) MiB")
KILLED_WORDS = re.compile(OUT_OF_MEMORY)
SLACK_S = 5.0  # between the end of stopTimeout and the time that ECS notes


def limit(seen: Evidence) -> str:
    """Of memory."""
    return f" of {seen.definition.memory} MiB" if seen.definition and seen.definition.memory else ""


@cause(
    "MEMORY_BELOW_MINIMUM",
    "The memory limit is below what the image needs",
    looks="`shine: the memory limit is … MiB; this image needs … MiB, measured under load.` in the log, exit code 1.",
    repair="Set size.memory in the plan to at least what the image needs (`docker run IMAGE contract`, "
    "minimum.memory_mib).",
    weight=SAID,
    deterministic=True,
)
def too_little(seen: Evidence) -> CauseMatch | None:
    def sentence(match: Match) -> str:
        return (
            f"The task has {match['limit']} MiB of memory, the image needs {match['least']} MiB and refuses to start."
        )

    return by_words(lines(seen, ended(seen)), TOO_LITTLE, sentence)


@cause(
    "OUT_OF_MEMORY",
    "The container ran out of memory",
    looks="`OutOfMemoryError: Container killed due to memory usage`, exit code 137.",
    repair="Give it more: size.memory in the plan; or less to do at a time: SHINE_MAX_PENDING, SHINE_MAX_BATCH_SIZE, "
    "SHINE_MAX_MEGAPIXELS.",
    weight=SAID,
)
def out_of_memory(seen: Evidence) -> CauseMatch | None:
    sentence = f"The container used more memory than its limit{limit(seen)}, and the kernel killed it."
    found = by_words(reasons(seen.failed), KILLED_WORDS, sentence)
    if found is None:
        return None
    tasks = [one for one in seen.failed if one.id in found.tasks]
    told = [_told(one) for one in tasks[:1]]
    return CauseMatch(
        sentence=sentence,
        lines=[*found.lines, *(one.line for one in told)],
        tasks=found.tasks,
        at=found.at,
        deterministic=len(tasks) > 1,  # the second dies as the first did: waiting only costs more photos
    )


@cause(
    "KILLED",
    "The container was killed, and nobody says why",
    looks="Exit code 137 without `OutOfMemoryError`, and ECS itself did not stop it.",
    repair="Nearly always memory: compare its use (Container Insights, or the memory metrics of /metrics) with the "
    "limit, and raise size.memory; otherwise the host.",
    weight=LIKELY,
)
def killed(seen: Evidence) -> CauseMatch | None:
    tasks = [one for one in ended(seen) if one.exit_code == KILLED]
    tasks = [one for one in tasks if not any(KILLED_WORDS.search(text) for text in one.reasons)]
    if not tasks:
        return None
    suspect = f"its memory limit{limit(seen)} is the first suspect"
    sentence = f"The container was killed (exit code {KILLED}) without a word of ECS's; {suspect}."
    return sign(sentence, [*map(_told, tasks), *lines(seen, tasks[:1])[:2]])


@cause(
    "STOP_TIMEOUT",
    "The container does not end in time when it is stopped",
    looks="Exit code 137 of a task that ECS stopped, about stopTimeout after it was asked to.",
    repair="Raise stop_timeout in the plan (120 s at the most) above what the image needs to end (contract: "
    "seconds.stop), or look at what keeps it: requests in flight are cut.",
    weight=SYMPTOM,
    aside=True,
)
def stop_timeout(seen: Evidence) -> CauseMatch | None:
    allowed = seen.definition.stop_timeout if seen.definition else None
    tasks = [one for one in seen.stopped if _outlasted(one, allowed)]
    if not tasks:
        return None
    return sign(f"A task that was stopped had not ended after {allowed} s and was killed.", map(_told, tasks))


def _outlasted(task: Task, allowed: int | None) -> bool:
    if allowed is None or task.exit_code != KILLED or task.stop_code == "EssentialContainerExited":
        return False
    if any(KILLED_WORDS.search(text) for text in task.reasons) or not (task.stopping and task.stopped):
        return False
    return (task.stopped - task.stopping).total_seconds() >= allowed - SLACK_S


def _told(task: Task) -> Quote:
    age = f" after {task.age:.0f} s" if task.age is not None else ""
    words = f"exit code {task.exit_code}{age}. {task.stopped_reason}"
    return Quote(f"stopped task {short(task.id)}", words, task.stopped, task.id)
