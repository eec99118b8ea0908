"""The container ends by itself, or is killed, nearly always for its memory."""

import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from deploy.aws.task import OUT_OF_MEMORY, Container, Task
from deploy.diagnose.cause import Cause, CauseMatch, Matcher, Sentence, Weight, match_words, matched
from deploy.diagnose.containers import (
    KILLED,
    STOPPED_CODES,
    capital,
    container_of,
    first_ended,
    is_sidecar,
    serving,
    serving_name,
    the_container,
)
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import (
    Quote,
    log_lines,
    log_message,
    matching,
    safe,
    start_failures,
    stopped_task,
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
PORT_TAKEN = re.compile(r"[Aa]ddress already in use|EADDRINUSE|port is already allocated")
NOT_WRITABLE = re.compile(
    r"(?:Read-only file system|Permission denied|EROFS|EACCES)[^\n]{0,10}?[:\s]+'?(?P<path>/[\w./-]+)?"
)
NATIVE = {132: "SIGILL, an instruction that this CPU does not have", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE",
          139: "SIGSEGV"}  # fmt: skip
TOO_LITTLE = re.compile(r"^shine: the memory limit is (?P<limit>\d+) MiB; this image needs (?P<least>\d+) MiB")
KILLED_FOR_MEMORY = re.compile(f"{OUT_OF_MEMORY}|OOM-killed")
STOP_SLACK_S = 5.0  # between the end of stopTimeout and the time that ECS notes


def first_ends(evidence: Evidence) -> list[tuple[Task, Container]]:
    """Tasks that ended by themselves, the newest first, each with the container that ended first."""
    ends = [
        (task, container)
        for task in evidence.failed
        if task.stop_code != "ServiceSchedulerInitiated"
        and "health checks" not in task.stopped_reason
        and (container := first_ended(evidence, task)) is not None
    ]
    # Where another container could not start, a sidecar that ended as if stopped is no reason.
    return [
        (task, container)
        for task, container in ends
        if task.stop_code != "TaskFailedToStart"
        or container.exit_code not in STOPPED_CODES
        or not is_sidecar(evidence, task, container)
    ]


def ends(evidence: Evidence, codes: Collection[int] | None = None) -> list[tuple[Task, Container]]:
    """Tasks whose serving container ended by itself, the newest first; with one of some exit codes."""
    own = [(task, container) for task, container in first_ends(evidence) if not is_sidecar(evidence, task, container)]
    return [(task, container) for task, container in own if codes is None or (container.exit_code or 0) in codes]


def ended(evidence: Evidence) -> list[Task]:
    """Tasks whose serving container ran and ended by itself, the newest first."""
    return [task for task, _ in ends(evidence)]


def ended_logs(evidence: Evidence) -> list[Quote]:
    """The logs of the tasks whose container ended by itself."""
    return log_lines(evidence, ended(evidence))


def exit_codes(ended: Iterable[tuple[Task, Container]]) -> list[Quote]:
    """Exit codes and reasons of tasks; of one with several containers, the codes of all."""
    quotes = []
    for task, container in ended:
        codes = f"exit code {container.exit_code}"
        if len(task.containers) > 1:
            others = [other for other in task.containers if other is not container and other.exit_code is not None]
            codes = ", ".join(f"{safe(each.name, 60)}: exit code {each.exit_code}" for each in (container, *others))
        quotes.append(stopped_task(task, f"{codes}. {' '.join(task.reasons)}", container.name))
    return quotes


def exited_with(pattern: re.Pattern[str], sentence: Sentence) -> Matcher:
    """Build the `match` of a cause that stands in the log of a container that ended; adds its exit code."""
    match_log = match_words(ended_logs, pattern, sentence)

    def match(evidence: Evidence) -> CauseMatch | None:
        cause = match_log(evidence)
        if cause is None:
            return None
        codes = exit_codes([end for end in ends(evidence) if end[0].id in cause.tasks])[:1]
        return replace(cause, lines=[*cause.lines[:3], *(quote.line for quote in codes)])

    return match


def _dependency(_: Evidence, quote: Quote, match: re.Match[str]) -> str:
    missing = match["module"] or match["library"]
    error = f"{safe(missing, 80)} is not in the image" if missing else safe(match["error"], 200)
    return f"The service in {the_container(quote.container)} ends at its start: {error.rstrip('.')}."


def _setting(_: Evidence, quote: Quote, match: re.Match[str]) -> str:
    return f"The service in {the_container(quote.container)} refuses to start: {safe(match['error'], 400)}"


def _port_taken(evidence: Evidence, quote: Quote, _: re.Match[str]) -> str:
    ports = ", ".join(map(str, evidence.definition.ports)) if evidence.definition else ""
    return (
        f"The service cannot listen{f' on {ports}' if ports else ''} in {the_container(quote.container)}: another "
        "process of the task listens there."
    )


def port_taken(evidence: Evidence) -> CauseMatch | None:
    """The log of a container that ended says so, or the container runtime where host ports are mapped."""
    in_log = exited_with(PORT_TAKEN, _port_taken)(evidence)
    return in_log or match_words(start_failures, PORT_TAKEN, _host_port)(evidence)


def _host_port(evidence: Evidence, quote: Quote, _: re.Match[str]) -> str:
    name = the_container(container_of(evidence, quote))
    return f"{capital(name)} cannot start: another process of its host listens on the port that it maps."


def _not_writable(evidence: Evidence, quote: Quote, match: re.Match[str]) -> str:
    root = "; readonlyRootFilesystem is set" if evidence.definition and evidence.definition.read_only else ""
    where = safe(match["path"] or "its disk", 120)
    return f"The service in {the_container(quote.container)} cannot write to {where}{root}."


def crashed(evidence: Evidence) -> CauseMatch | None:
    """The exit code is that of a signal of native code."""
    crashes = ends(evidence, NATIVE)
    if not crashes:
        return None
    code = crashes[0][1].exit_code or 0
    quotes = [*exit_codes(crashes), *log_lines(evidence, [task for task, _ in crashes])[:3]]
    return matched(f"{capital(the_container(crashes[0][1].name))} ended with exit code {code}: {NATIVE[code]}.", quotes)


def exited(evidence: Evidence) -> CauseMatch | None:
    """The container ended by itself, and its exit code does not say why."""
    result = [end for end in ends(evidence) if not _out_of_memory(*end)]
    result = [end for end in result if end[1].exit_code != KILLED and end[1].exit_code not in NATIVE]
    if not result:
        return None
    task, container = result[0]
    log = log_lines(evidence, [task])
    last = f"the last log line: {safe(log_message(log[0].text), 200).rstrip('.')}" if log else "its log is empty"
    codes = exit_codes(result)
    sentence = f"{capital(the_container(container.name))} ended by itself with exit code {container.exit_code}; {last}."
    return matched(sentence, [*codes[:1], *log[:4], *codes[1:]])


def sidecar_exited(evidence: Evidence) -> CauseMatch | None:
    """A sidecar ended by itself, and ECS then stopped the task."""
    result = [end for end in first_ends(evidence) if is_sidecar(evidence, *end) and not _out_of_memory(*end)]
    if not result:
        return None
    task, container = result[0]
    how = "was killed, with" if container.exit_code == KILLED else "ended by itself with"
    own = serving(evidence, task)
    after = f", {the_container(own.name)} too" if own is not None else ""
    sentence = (
        f"The sidecar {safe(container.name, 80)} {how} exit code {container.exit_code}; ECS then stopped the "
        f"task{after}{f' (exit code {own.exit_code})' if own is not None and own.exit_code is not None else ''}."
    )
    return matched(sentence, exit_codes(result))


def out_of_memory(evidence: Evidence) -> CauseMatch | None:
    """ECS says that the kernel killed a container for its memory."""
    # That an agent of AWS's own is killed stops no task.
    first = {task.id: container.name for task, container in first_ends(evidence)}
    matches = [
        (quote, match)
        for quote, match in matching(start_failures(evidence), KILLED_FOR_MEMORY)
        if not quote.container or first.get(quote.task, quote.container) == quote.container
    ]
    if not matches:
        return None
    name = container_of(evidence, matches[0][0]) or first.get(matches[0][0].task, "")
    own = name == serving_name(evidence) or not serving_name(evidence)
    limit, repair = _limit(evidence) if own else "", None
    if name and not own:
        repair = f"Raise the memory limit of {the_container(name)}, or let it do less at a time."
    sentence = f"{capital(the_container(name))} used more memory than its limit{limit}, and the kernel killed it."
    quotes = [quote for quote, _ in matches]
    tasks = [task for task in evidence.failed if task.id in {quote.task for quote in quotes}]
    # The second task dies as the first did: waiting only costs more photos.
    deterministic = len(tasks) > 1
    last = [_stop_quote(task, container) for task in tasks[:1] if (container := first_ended(evidence, task))]
    return matched(sentence, [*quotes[:5], *last], repair=repair, deterministic=deterministic)


def killed(evidence: Evidence) -> CauseMatch | None:
    """The exit code is that of a kill, and ECS does not say why."""
    result = [end for end in ends(evidence, (KILLED,)) if not _out_of_memory(*end)]
    if not result:
        return None
    sentence = (
        f"{capital(the_container(result[0][1].name))} was killed (exit code {KILLED}), and ECS names no reason; "
        f"its memory limit{_limit(evidence)} is the first suspect."
    )
    return matched(sentence, [*(_stop_quote(*end) for end in result), *log_lines(evidence, [result[0][0]])[:2]])


def stop_timeout(evidence: Evidence) -> CauseMatch | None:
    """ECS stopped a task, and killed its serving container when stopTimeout was over."""
    if evidence.definition is None:
        return None
    allowed = evidence.definition.stop_timeout
    own = [(task, container) for task in evidence.stopped if (container := serving(evidence, task)) is not None]
    late = [(task, container) for task, container in own if _exceeded_stop_timeout(task, container, allowed)]
    if not late:
        return None
    name = capital(the_container(late[0][1].name))
    sentence = f"{name} of a task that ECS stopped did not end within {allowed} s and was killed."
    return matched(sentence, [_stop_quote(*each) for each in late])


def _exceeded_stop_timeout(task: Task, container: Container, allowed: int) -> bool:
    if container.exit_code != KILLED or task.stop_code == "EssentialContainerExited" or _out_of_memory(task, container):
        return False
    if not (task.stopping and task.stopped):
        return False
    return (task.stopped - task.stopping).total_seconds() >= allowed - STOP_SLACK_S


def _out_of_memory(task: Task, container: Container) -> bool:
    return any(KILLED_FOR_MEMORY.search(reason) for reason in (container.reason, task.stopped_reason))


def _limit(evidence: Evidence) -> str:
    return f" of {evidence.definition.memory} MiB" if evidence.definition and evidence.definition.memory else ""


def _stop_quote(task: Task, container: Container) -> Quote:
    age = f" after {task.age:.0f} s" if task.age is not None else ""
    name = f"{safe(container.name, 60)}: " if len(task.containers) > 1 else ""
    return stopped_task(task, f"{name}exit code {container.exit_code}{age}. {task.stopped_reason}", container.name)


CAUSES = (
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
        match=exited_with(SETTING_REFUSED, _setting),
    ),
    Cause(
        "PORT_TAKEN",
        "The port is already in use within the task",
        looks="`[Errno 98] Address already in use` in the log.",
        repair="Containers of one task share its ports in awsvpc mode: give one of them another PORT.",
        weight=Weight.STATED,
        deterministic=True,
        match=port_taken,
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
        "EXITED",
        "The container ended by itself",
        looks="`Essential container in task exited` with an exit code; the last log lines say why.",
        repair="Read the last log lines. `docker run` with the same settings fails in the same way.",
        weight=Weight.SYMPTOM,
        symptom=True,
        match=exited,
    ),
    Cause(
        "SIDECAR_EXITED",
        "A sidecar ended, and the task with it",
        looks="`Essential container in task exited`, a sidecar's code, and 143, 137 or 0 of the serving container.",
        repair="Read the sidecar's own log. If the service can do without it, set essential to false for it in the "
        "task definition.",
        weight=Weight.SYMPTOM,
        symptom=True,
        match=sidecar_exited,
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
            lambda _, quote, match: (
                f"The task has {match['limit']} MiB of memory, but the image needs {match['least']} MiB: "
                f"{the_container(quote.container)} refuses to start."
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
