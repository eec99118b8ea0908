"""The container does not start, ends by itself, or is killed, nearly always for its memory."""

import re
from dataclasses import replace

from deploy.aws.task import OUT_OF_MEMORY, Task
from deploy.diagnose.cause import Cause, CauseMatch, Matcher, Sentence, Weight, match_words, matched
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Quote, failed_reasons, log_lines, log_message, safe, stopped_task

NO_PROGRAM = re.compile(
    r"exec:? \\?\"?(?P<program>[^\s\"\\:]+)\\?\"?: (?:stat [^:]+: )?(?P<why>(?:executable file )?not found|"
    r"no such file or directory|permission denied)|"
    r"(?:^|sh: )(?:\d+: |line \d+: )?(?P<shell>[\w./-]+): (?:command )?not found"
)
NO_MODULE = re.compile(
    r"ModuleNotFoundError: No module named '?(?P<module>[\w.]+)|ImportError: (?P<error>[^\n\"]{3,200})|"
    r"error while loading shared libraries: (?P<library>[^\s:]+)"
)
SETTING_REFUSED = re.compile(
    r"^shine: (?P<error>.*?(?:is not a setting of this service|cannot be used|is not a port number|"
    r"spans are exported by|is not a share of traces).*)",
    re.DOTALL,
)
PORT_TAKEN = re.compile(r"[Aa]ddress already in use|EADDRINUSE")
NOT_WRITABLE = re.compile(
    r"(?:Read-only file system|Permission denied|EROFS|EACCES)[^\n]{0,10}?[:\s]+'?(?P<path>/[\w./-]+)?"
)
NATIVE = {132: "SIGILL, an instruction that this CPU does not have", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE",
          139: "SIGSEGV"}  # fmt: skip
NOT_STARTED = re.compile(
    r"CannotStartContainerError|CannotCreateContainerError|ContainerRuntimeError|runc create failed"
)
START_TIMEOUT = re.compile(r"(?:ContainerRuntime|Docker)TimeoutError|Could not transition to (?:running|created)")
NO_VOLUME = re.compile(r"CannotCreateVolumeError|Failed to invoke EFS|unable to (?:mount|copy contents to) volume")
TOO_LITTLE = re.compile(r"^shine: the memory limit is (?P<limit>\d+) MiB; this image needs (?P<least>\d+) MiB")
KILLED = 137
KILLED_FOR_MEMORY = re.compile(OUT_OF_MEMORY)
STOP_SLACK_S = 5.0  # between the end of stopTimeout and the time that ECS notes


def ended(evidence: Evidence) -> list[Task]:
    """Tasks whose container ran and ended by itself, the newest first."""
    return [
        task
        for task in evidence.failed
        if task.exit_code is not None
        and task.stop_code != "ServiceSchedulerInitiated"
        and "health checks" not in task.stopped_reason
    ]


def ended_logs(evidence: Evidence) -> list[Quote]:
    """The logs of the tasks whose container ended by itself."""
    return log_lines(evidence, ended(evidence))


def start_errors(evidence: Evidence) -> list[Quote]:
    """Why containers could not be started; with exit code 126 or 127 the shell says it in the log."""
    reasons = [quote for quote in failed_reasons(evidence) if NOT_STARTED.search(quote.text) or "exec:" in quote.text]
    shells = [task for task in ended(evidence) if task.exit_code in (126, 127)]
    return [*reasons, *log_lines(evidence, shells)]


def exit_codes(tasks: list[Task]) -> list[Quote]:
    """Exit codes and reasons of tasks."""
    return [stopped_task(task, f"exit code {task.exit_code}. {' '.join(task.reasons)}") for task in tasks]


def exited_with(pattern: re.Pattern[str], sentence: Sentence) -> Matcher:
    """Build the `match` of a cause that stands in the log of a container that ended; adds its exit code."""
    match_log = match_words(ended_logs, pattern, sentence)

    def match(evidence: Evidence) -> CauseMatch | None:
        cause = match_log(evidence)
        if cause is None:
            return None
        codes = exit_codes([task for task in ended(evidence) if task.id in cause.tasks])[:1]
        return replace(cause, lines=[*cause.lines[:3], *(quote.line for quote in codes)])

    return match


def _program(_: Evidence, match: re.Match[str]) -> str:
    why = "may not be executed" if match["why"] == "permission denied" else "is not in the image"
    return f"The container cannot start: {safe(match['program'] or match['shell'], 120)} {why}."


def _dependency(_: Evidence, match: re.Match[str]) -> str:
    missing = match["module"] or match["library"]
    error = f"{safe(missing, 80)} is not in the image" if missing else safe(match["error"], 200)
    return f"The service ends at its start: {error.rstrip('.')}."


def _port_taken(evidence: Evidence, _: re.Match[str]) -> str:
    ports = ", ".join(map(str, evidence.definition.ports)) if evidence.definition else ""
    return f"The service cannot listen{f' on {ports}' if ports else ''}: another process of the task listens there."


def _not_writable(evidence: Evidence, match: re.Match[str]) -> str:
    root = "; readonlyRootFilesystem is set" if evidence.definition and evidence.definition.read_only else ""
    return f"The service cannot write to {safe(match['path'] or 'its disk', 120)}{root}."


def crashed(evidence: Evidence) -> CauseMatch | None:
    """The exit code is that of a signal of native code."""
    tasks = [task for task in ended(evidence) if task.exit_code in NATIVE]
    if not tasks:
        return None
    code = tasks[0].exit_code or 0
    quotes = [*exit_codes(tasks), *log_lines(evidence, tasks)[:3]]
    return matched(f"The container ended with exit code {code}: {NATIVE[code]}.", quotes)


def exited(evidence: Evidence) -> CauseMatch | None:
    """The container ended by itself, and its exit code does not say why."""
    tasks = [task for task in ended(evidence) if not _out_of_memory(task)]
    tasks = [task for task in tasks if task.exit_code != KILLED and task.exit_code not in NATIVE]
    if not tasks:
        return None
    log = log_lines(evidence, tasks[:1])
    last = f"the last log line: {safe(log_message(log[0].text), 200).rstrip('.')}" if log else "its log is empty"
    codes = exit_codes(tasks)
    sentence = f"The container ended by itself with exit code {tasks[0].exit_code}; {last}."
    return matched(sentence, [*codes[:1], *log[:4], *codes[1:]])


def out_of_memory(evidence: Evidence) -> CauseMatch | None:
    """ECS says that the kernel killed the container for its memory."""
    sentence = f"The container used more memory than its limit{_limit(evidence)}, and the kernel killed it."
    cause = match_words(failed_reasons, KILLED_FOR_MEMORY, sentence)(evidence)
    if cause is None:
        return None
    tasks = [task for task in evidence.failed if task.id in cause.tasks]
    lines = [*cause.lines, *(_stop_quote(task).line for task in tasks[:1])]
    # The second task dies as the first did: waiting only costs more photos.
    return replace(cause, lines=lines, deterministic=len(tasks) > 1)


def killed(evidence: Evidence) -> CauseMatch | None:
    """The exit code is that of a kill, and ECS does not say why."""
    tasks = [task for task in ended(evidence) if task.exit_code == KILLED and not _out_of_memory(task)]
    if not tasks:
        return None
    sentence = (
        f"The container was killed (exit code {KILLED}), and ECS names no reason; "
        f"its memory limit{_limit(evidence)} is the first suspect."
    )
    return matched(sentence, [*map(_stop_quote, tasks), *log_lines(evidence, tasks[:1])[:2]])


def stop_timeout(evidence: Evidence) -> CauseMatch | None:
    """ECS stopped a task, and killed it when stopTimeout was over."""
    if evidence.definition is None:
        return None
    allowed = evidence.definition.stop_timeout
    tasks = [task for task in evidence.stopped if _exceeded_stop_timeout(task, allowed)]
    if not tasks:
        return None
    sentence = f"A task that ECS stopped did not end within {allowed} s and was killed."
    return matched(sentence, map(_stop_quote, tasks))


def _exceeded_stop_timeout(task: Task, allowed: int) -> bool:
    if task.exit_code != KILLED or task.stop_code == "EssentialContainerExited" or _out_of_memory(task):
        return False
    if not (task.stopping and task.stopped):
        return False
    return (task.stopped - task.stopping).total_seconds() >= allowed - STOP_SLACK_S


def _out_of_memory(task: Task) -> bool:
    return any(OUT_OF_MEMORY in reason for reason in task.reasons)


def _limit(evidence: Evidence) -> str:
    return f" of {evidence.definition.memory} MiB" if evidence.definition and evidence.definition.memory else ""


def _stop_quote(task: Task) -> Quote:
    age = f" after {task.age:.0f} s" if task.age is not None else ""
    return stopped_task(task, f"exit code {task.exit_code}{age}. {task.stopped_reason}")


CAUSES = (
    Cause(
        "ENTRY_POINT_MISSING",
        "The program to start is not in the image",
        looks='`CannotStartContainerError: … exec: "…": executable file not found`, `no such file or directory`.',
        repair="Correct command or entryPoint in the task definition (a rendered one sets neither), or the image's "
        "ENTRYPOINT; `docker run --rm IMAGE` fails in the same way.",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(start_errors, NO_PROGRAM, _program),
    ),
    Cause(
        "DEPENDENCY_MISSING",
        "A dependency is missing in the image",
        looks="`ModuleNotFoundError`, `ImportError`, `error while loading shared libraries` in the log; ends at once.",
        repair="Add it to requirements/runtime.in, run `make lock`, build the image again, and roll out that digest.",
        weight=Weight.STATED,
        deterministic=True,
        match=exited_with(NO_MODULE, _dependency),
    ),
    Cause(
        "SETTING_REFUSED",
        "The service refuses a setting",
        looks="`shine: SHINE_… is not a setting of this service` or `… cannot be used: …` in the log, exit code 1.",
        repair="Correct it in trail.yaml (settings, or phases.….settings); `trail preflight` finds it earlier.",
        weight=Weight.STATED,
        deterministic=True,
        match=exited_with(
            SETTING_REFUSED, lambda _, match: f"The service refuses to start: {safe(match['error'], 400)}"
        ),
    ),
    Cause(
        "PORT_TAKEN",
        "The port is already in use within the task",
        looks="`[Errno 98] Address already in use` in the log.",
        repair="Containers of one task share its ports in awsvpc mode: give one of them another PORT.",
        weight=Weight.STATED,
        deterministic=True,
        match=exited_with(PORT_TAKEN, _port_taken),
    ),
    Cause(
        "NOT_WRITABLE",
        "A folder that the service writes to is read-only",
        looks="`Read-only file system` or `Permission denied: '/tmp/…'` in the log, exit code 1.",
        repair="Mount a volume on the folder (a rendered task definition mounts one on /tmp, which contains "
        "BENTOML_HOME), and run as the image's own user.",
        weight=Weight.TWO_FACTS,
        deterministic=True,
        match=exited_with(NOT_WRITABLE, _not_writable),
    ),
    Cause(
        "CRASHED",
        "Native code crashed",
        looks="Exit code 139 (SIGSEGV), 134 (SIGABRT), 132 (SIGILL), 135 or 136.",
        repair="Read the last log lines; run the image here with the same settings. SIGILL: the image needs a newer "
        "CPU.",
        weight=Weight.LIKELY,
        match=crashed,
    ),
    Cause(
        "START_TIMEOUT",
        "The container runtime gave up waiting for the container to start",
        looks="`ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting …`.",
        repair="Try again; if it persists, the image or its volume is very large: read the log of the start.",
        weight=Weight.TWO_FACTS,
        match=match_words(failed_reasons, START_TIMEOUT),
    ),
    Cause(
        "VOLUME_FAILED",
        "A volume of the task cannot be mounted",
        looks="`CannotCreateVolumeError`, `Failed to invoke EFS utils commands to set up EFS volumes`.",
        repair="Check the volume in the task definition. A rendered one has only an empty volume of the task's own.",
        weight=Weight.STATED,
        match=match_words(failed_reasons, NO_VOLUME),
    ),
    Cause(
        "CONTAINER_NOT_STARTED",
        "The container runtime cannot start the container",
        looks="`CannotStartContainerError` or `CannotCreateContainerError` with a reason that fits no other cause.",
        repair="Read ECS's reason in the evidence; start the image by hand with the same user, volumes and command.",
        weight=Weight.SYMPTOM,
        symptom=True,
        match=match_words(failed_reasons, NOT_STARTED),
    ),
    Cause(
        "EXITED",
        "The container ended by itself",
        looks="`Essential container in task exited` with an exit code; the last log lines say why.",
        repair="Read the last log lines. `docker run` with the same settings fails in the same way.",
        weight=Weight.SYMPTOM,
        symptom=True,
        match=exited,
    ),
    Cause(
        "MEMORY_BELOW_MINIMUM",
        "The memory limit is below the image's minimum",
        looks="`shine: the memory limit is … MiB; this image needs … MiB` in the log, exit code 1.",
        repair="Set size.memory in the plan to the minimum or more (`docker run IMAGE contract`, minimum.memory_mib).",
        weight=Weight.STATED,
        deterministic=True,
        match=match_words(
            ended_logs,
            TOO_LITTLE,
            lambda _, match: (
                f"The task has {match['limit']} MiB of memory, but the image needs {match['least']} MiB "
                "and refuses to start."
            ),
        ),
    ),
    Cause(
        "OUT_OF_MEMORY",
        "The container ran out of memory",
        looks="`OutOfMemoryError: Container killed due to memory usage`, exit code 137.",
        repair="Raise size.memory in the plan, or let the service do less at a time: SHINE_MAX_PENDING, "
        "SHINE_MAX_BATCH_SIZE, SHINE_MAX_MEGAPIXELS.",
        weight=Weight.STATED,
        match=out_of_memory,
    ),
    Cause(
        "KILLED",
        "The container was killed, and the reason is not known",
        looks="Exit code 137 without `OutOfMemoryError`, and ECS itself did not stop it.",
        repair="Nearly always memory: compare the memory in use (Container Insights, or /metrics) with the limit, and "
        "raise size.memory; otherwise the host.",
        weight=Weight.LIKELY,
        match=killed,
    ),
    Cause(
        "STOP_TIMEOUT",
        "The container does not end in time when ECS stops it",
        looks="Exit code 137 of a task that ECS stopped, about stopTimeout after it began to stop.",
        repair="Raise stop_timeout in the plan (at most 120 s) above what the image needs to end (contract: "
        "seconds.stop), or find out what delays it: requests in flight are cut off.",
        weight=Weight.SYMPTOM,
        aside=True,
        match=stop_timeout,
    ),
)
