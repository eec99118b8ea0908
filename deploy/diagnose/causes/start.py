"""The container does not start, or ends at once."""

import re

from deploy.aws.task import OUT_OF_MEMORY, Task
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Match, Quote, lines, reasons, short, shown, spoken
from deploy.diagnose.registry import LIKELY, SAID, SEEN, SYMPTOM, CauseMatch, by_words, cause, sign

NO_PROGRAM = re.compile(
    r"exec:? \\?\"?(?P<program>[^\s\"\\:]+)\\?\"?: (?:stat [^:]+: )?(?P<why>(?:executable file )?not found|"
    r"no such file or directory|permission denied)|"
    r"(?:^|sh: )(?:\d+: |line \d+: )?(?P<shell>[\w./-]+): (?:command )?not found"
)
NO_MODULE = re.compile(
    r"ModuleNotFoundError: No module named '?(?P<module>[\w.]+)|ImportError: (?P<told>[^\n\"]{3,200})|"
    r"error while loading shared libraries: (?P<library>[^\s:]+)"
)
REFUSED = re.compile(
    r"^shine: (?P<told>.*?(?:is not a setting of this service|cannot be used|is not a port number|"
    r"spans are exported by|is not a share of traces).*)",
    re.DOTALL,
)
PORT_TAKEN = re.compile(r"[Aa]ddress already in use|EADDRINUSE")
NOT_WRITABLE = re.compile(
    r"(?:Read-only file system|Permission denied|EROFS|EACCES)[^\n]{0,10}?[:\s]+'?(?P<path>/[\w./-]+)?"
)
NATIVE = {132: "SIGILL, an instruction that this CPU has not", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE",
          139: "SIGSEGV"}  # fmt: skip
NOT_STARTED = re.compile(
    r"CannotStartContainerError|CannotCreateContainerError|ContainerRuntimeError|runc create failed"
)
START_TIMEOUT = re.compile(r"(?:ContainerRuntime|Docker)TimeoutError|Could not transition to (?:running|created)")
KILLED = 137
NO_VOLUME = re.compile(r"CannotCreateVolumeError|Failed to invoke EFS|unable to (?:mount|copy contents to) volume")


def ended(seen: Evidence) -> list[Task]:
    """Tasks whose container ran and ended by itself, the newest first."""
    return [
        one
        for one in seen.failed
        if one.exit_code is not None
        and one.stop_code != "ServiceSchedulerInitiated"
        and "health checks" not in one.stopped_reason
    ]


def exits(tasks: list[Task]) -> list[Quote]:
    """Exit codes, as evidence."""
    return [
        Quote(
            f"stopped task {short(one.id)}", f"exit code {one.exit_code}. {' '.join(one.reasons)}", one.stopped, one.id
        )
        for one in tasks
    ]


@cause(
    "ENTRY_POINT_MISSING",
    "The program that should start is not in the image",
    looks='`CannotStartContainerError: … exec: "…": executable file not found in $PATH`, `no such file or directory`.',
    repair="Correct command or entryPoint in the task definition (a rendered one sets neither), or the image's "
    "ENTRYPOINT; `docker run --rm IMAGE` shows it at once.",
    weight=SAID,
    deterministic=True,
)
def entry_point(seen: Evidence) -> CauseMatch | None:
    started = [one for one in reasons(seen.failed) if NOT_STARTED.search(one.text) or "exec:" in one.text]
    wrote = [one for task in ended(seen) if task.exit_code in (126, 127) for one in lines(seen, [task])]

    def sentence(match: Match) -> str:
        program = match["program"] or match["shell"]
        why = "may not be run" if match["why"] == "permission denied" else "is not there"
        return f"The container cannot start: {shown(program, 120)} {why}."

    return by_words([*started, *wrote], NO_PROGRAM, sentence)


@cause(
    "DEPENDENCY_MISSING",
    "A dependency is missing in the image",
    looks="`ModuleNotFoundError: No module named …`, `ImportError`, `error while loading shared libraries` in the "
    "log, and the container ends at once.",
    repair="Add it to requirements/runtime.in, `make lock`, build the image anew, and roll out that digest.",
    weight=SAID,
    deterministic=True,
)
def dependency(seen: Evidence) -> CauseMatch | None:
    tasks = ended(seen)

    def sentence(match: Match) -> str:
        what = match["module"] or match["library"]
        told = f"{shown(what, 80)} is not in the image" if what else shown(match["told"], 200)
        return f"The service ends at its start: {told.rstrip('.')}."

    found = by_words(lines(seen, tasks), NO_MODULE, sentence)
    return _with_exits(found, tasks)


@cause(
    "SETTING_REFUSED",
    "The service refuses a setting",
    looks="`shine: SHINE_… is not a setting of this service; did you mean …?` or `… cannot be used: …` in the log, "
    "exit code 1.",
    repair="Correct that setting in trail.yaml (settings, or phases.….settings); `trail preflight` names it before a "
    "rollout.",
    weight=SAID,
    deterministic=True,
)
def setting(seen: Evidence) -> CauseMatch | None:
    tasks = ended(seen)
    found = by_words(
        lines(seen, tasks), REFUSED, lambda match: f"The service refuses to start: {shown(match['told'], 400)}"
    )
    return _with_exits(found, tasks)


@cause(
    "PORT_TAKEN",
    "The port is taken within the task",
    looks="`[Errno 98] Address already in use` in the log.",
    repair="Two containers of one task share its ports in awsvpc mode: give one of them another PORT.",
    weight=SAID,
    deterministic=True,
)
def port_taken(seen: Evidence) -> CauseMatch | None:
    tasks = ended(seen)
    port = ", ".join(map(str, seen.definition.ports)) if seen.definition else ""
    sentence = f"The service cannot listen{f' on {port}' if port else ''}: something in the task does already."
    return _with_exits(by_words(lines(seen, tasks), PORT_TAKEN, sentence), tasks)


@cause(
    "NOT_WRITABLE",
    "A folder that the service writes to is read-only",
    looks="`Read-only file system` or `Permission denied: '/tmp/…'` in the log, exit code 1.",
    repair="Mount a volume on the folder (a rendered task definition has one on /tmp, and BENTOML_HOME lies there), "
    "and run as the image's own user.",
    weight=SEEN,
    deterministic=True,
)
def not_writable(seen: Evidence) -> CauseMatch | None:
    tasks = ended(seen)

    def sentence(match: Match) -> str:
        root = "; readonlyRootFilesystem is set" if seen.definition and seen.definition.read_only else ""
        return f"The service cannot write to {shown(match['path'] or 'its disk', 120)}{root}."

    return _with_exits(by_words(lines(seen, tasks), NOT_WRITABLE, sentence), tasks)


@cause(
    "CRASHED",
    "Native code crashed",
    looks="Exit code 139 (SIGSEGV), 134 (SIGABRT), 132 (SIGILL), 135 or 136.",
    repair="Read the last log lines; run the same image with the same settings and CPU here. SIGILL: the image is "
    "built for a newer CPU than Fargate gave.",
    weight=LIKELY,
)
def crashed(seen: Evidence) -> CauseMatch | None:
    tasks = [one for one in ended(seen) if one.exit_code in NATIVE]
    if not tasks:
        return None
    code = tasks[0].exit_code or 0
    return sign(f"The container ended with exit code {code}: {NATIVE[code]}.", [*exits(tasks), *lines(seen, tasks)[:3]])


@cause(
    "START_TIMEOUT",
    "The container did not come up in time",
    looks="`ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting …`.",
    repair="Try again; if it stays, the image is very large or its volume is: see the log of the start.",
    weight=SEEN,
)
def start_timeout(seen: Evidence) -> CauseMatch | None:
    return by_words(
        reasons(seen.failed), START_TIMEOUT, "The container runtime gave up waiting for the container to start."
    )


@cause(
    "VOLUME_FAILED",
    "A volume cannot be mounted",
    looks="`CannotCreateVolumeError`, `Failed to invoke EFS utils commands to set up EFS volumes`.",
    repair="Look at the volume in the task definition. A rendered one has only an empty volume of the task's own.",
    weight=SAID,
)
def volume(seen: Evidence) -> CauseMatch | None:
    return by_words(reasons(seen.failed), NO_VOLUME, "A volume of the task cannot be mounted.")


@cause(
    "CONTAINER_NOT_STARTED",
    "The container cannot be started",
    looks="`CannotStartContainerError` or `CannotCreateContainerError` with a reason that no other cause knows.",
    repair="Read ECS's own words below, and start the image by hand with the same user, volumes and command.",
    weight=SYMPTOM,
    symptom=True,
)
def not_started(seen: Evidence) -> CauseMatch | None:
    return by_words(reasons(seen.failed), NOT_STARTED, "The container runtime cannot start the container.")


@cause(
    "EXITED",
    "The container ended by itself",
    looks="`Essential container in task exited` with an exit code; the last log lines say why.",
    repair="Read the last log lines. `docker run` with the same settings shows the same.",
    weight=SYMPTOM,
    symptom=True,
)
def exited(seen: Evidence) -> CauseMatch | None:
    tasks = [one for one in ended(seen) if not any(OUT_OF_MEMORY in text for text in one.reasons)]
    tasks = [one for one in tasks if one.exit_code != KILLED and one.exit_code not in NATIVE]
    if not tasks:
        return None
    wrote = lines(seen, tasks[:1])
    last = f"; its last words: {shown(spoken(wrote[0].text), 200).rstrip('.')}" if wrote else "; it wrote nothing"
    return sign(
        f"The container ended by itself with exit code {tasks[0].exit_code}{last}.",
        [*exits(tasks)[:1], *wrote[:4], *exits(tasks)[1:]],
    )


def _with_exits(found: CauseMatch | None, tasks: list[Task]) -> CauseMatch | None:
    """The exit code beside the words."""
    if found is None:
        return None
    shown_by = [one for one in tasks if one.id in found.tasks]
    told = exits(shown_by)[:1]
    return CauseMatch(
        sentence=found.sentence,
        lines=[*list(found.lines)[:3], *(one.line for one in told)],
        tasks=found.tasks,
        at=found.at,
    )
